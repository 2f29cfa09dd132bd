//! A reader of the XML that SAML messages need, and of no more. What parsers differ over is refused:
//! document types, entities, comments, processing instructions and CDATA. So the text that a signature
//! covers means the same to whoever verifies it and to whoever reads it.

use std::ops::Range;

/// What a document may cost at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub bytes: usize,
    pub depth: usize,
    pub elements: usize,
    /// Whether comments are passed over; otherwise they are refused.
    pub comments: bool,
}

/// Attributes of one element, and namespaces that are in scope at a place: real messages have ten.
const ATTRIBUTES: usize = 32;
const NAMESPACES: usize = 64;
/// The longest name of a namespace, in bytes; each element keeps a copy.
const NAMESPACE_BYTES: usize = 256;
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// An element with what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    pub namespace: String,
    pub name: String,
    pub attributes: Vec<Attribute>,
    pub children: Vec<Element>,
    /// The text directly in it, without that of its children.
    pub text: String,
    /// Where it is in the document, in bytes.
    pub span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Empty for an attribute without a prefix.
    pub namespace: String,
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    #[error("it is larger than {0} bytes")]
    Size(usize),
    #[error("its elements are nested more than {0} deep")]
    Depth(usize),
    #[error("it has more than {0} elements")]
    Elements(usize),
    #[error("an element has too many attributes or namespaces")]
    Attributes,
    #[error("it has a document type or an entity of its own")]
    Dtd,
    #[error("it has a comment")]
    Comment,
    #[error("it has a CDATA section")]
    Cdata,
    #[error("it has a processing instruction")]
    Instruction,
    #[error("it is no well-formed XML: {0}")]
    Malformed(&'static str),
}

impl Element {
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    pub fn all<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Element> {
        let children = self.children.iter();
        children.filter(move |it| it.is(namespace, name))
    }

    /// The only child of this name; none where there is none or several.
    pub fn only(&self, namespace: &str, name: &str) -> Option<&Element> {
        let mut all = self.children.iter().filter(|it| it.is(namespace, name));
        all.next().filter(|_| all.next().is_none())
    }

    /// The value of an attribute that has no prefix.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut own = self.attributes.iter();
        let own = own.find(|it| it.namespace.is_empty() && it.name == name)?;
        Some(&own.value)
    }

    /// The text of an element that has no children.
    pub fn plain(&self) -> Option<&str> {
        self.children.is_empty().then_some(self.text.as_str())
    }

    /// It and all below, in the document's order.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Element)) {
        visit(self);
        for child in &self.children {
            child.walk(visit);
        }
    }
}

/// Reads a document. Line ends have to be single newlines already, as [`with_newlines`] makes them.
pub fn read(text: &str, limits: Limits) -> Result<Element, XmlError> {
    if text.len() > limits.bytes {
        return Err(XmlError::Size(limits.bytes));
    }
    let mut reader = Reader {
        text,
        at: declaration(text)?,
        limits,
        scope: Vec::new(),
        open: Vec::new(),
        elements: 0,
        root: None,
    };
    while reader.at < text.len() {
        match text[reader.at..].starts_with('<') {
            true => reader.markup()?,
            false => reader.characters()?,
        }
    }
    match reader.open.is_empty() {
        true => reader.root.ok_or(XmlError::Malformed("it has no element")),
        false => Err(XmlError::Malformed("an element does not end")),
    }
}

/// The document with its line ends as XML has them (XML 1.0, section 2.11).
pub fn with_newlines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// The length of the XML declaration, if there is one.
fn declaration(text: &str) -> Result<usize, XmlError> {
    let Some(rest) = text.strip_prefix("<?xml ") else {
        return Ok(0);
    };
    let end = rest.find("?>").ok_or(XmlError::Instruction)?;
    let said = rest[..end].to_ascii_lowercase();
    let is_utf8 = !said.contains("encoding") || said.contains("utf-8");
    match is_utf8 && said.contains("1.0") && !said.contains('<') {
        true => Ok("<?xml ".len() + end + "?>".len()),
        false => Err(XmlError::Malformed("it is not XML 1.0 in UTF-8")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    limits: Limits,
    /// Prefixes with their namespaces, the innermost last.
    scope: Vec<(&'a str, String)>,
    open: Vec<Open<'a>>,
    elements: usize,
    root: Option<Element>,
}

/// An element whose end has not come, and how many prefixes were known before it.
struct Open<'a> {
    name: &'a str,
    element: Element,
    scope: usize,
}

impl<'a> Reader<'a> {
    fn markup(&mut self) -> Result<(), XmlError> {
        let rest = &self.text[self.at..];
        if rest.starts_with("</") {
            return self.end_tag();
        }
        if let Some(comment) = rest.strip_prefix("<!--") {
            if !self.limits.comments {
                return Err(XmlError::Comment);
            }
            let end = comment.find("-->");
            self.at += 7 + end.ok_or(XmlError::Malformed("a comment does not end"))?;
            return Ok(());
        }
        match rest {
            _ if rest.starts_with("<![CDATA[") => Err(XmlError::Cdata),
            _ if rest.starts_with("<!") => Err(XmlError::Dtd),
            _ if rest.starts_with("<?") => Err(XmlError::Instruction),
            _ => self.start_tag(),
        }
    }

    fn characters(&mut self) -> Result<(), XmlError> {
        let rest = &self.text[self.at..];
        let end = rest.find('<').unwrap_or(rest.len());
        let raw = &rest[..end];
        self.at += end;
        if raw.contains("]]>") {
            return Err(XmlError::Malformed("]]> stands alone"));
        }
        match self.open.last_mut() {
            Some(open) => open.element.text.push_str(&unescaped(raw)?),
            None if raw.chars().all(is_space) => {}
            None => return Err(XmlError::Malformed("there is text outside the element")),
        }
        Ok(())
    }

    fn end_tag(&mut self) -> Result<(), XmlError> {
        self.at += "</".len();
        let name = self.name()?;
        self.spaces();
        self.expect(">")?;
        let open = self.open.pop().filter(|it| it.name == name);
        let open = open.ok_or(XmlError::Malformed("an end tag has no start"))?;
        self.close(open)
    }

    fn close(&mut self, open: Open<'a>) -> Result<(), XmlError> {
        let mut element = open.element;
        element.span.end = self.at;
        self.scope.truncate(open.scope);
        match self.open.last_mut() {
            Some(parent) => parent.element.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn start_tag(&mut self) -> Result<(), XmlError> {
        let (start, scope) = (self.at, self.scope.len());
        if self.root.is_some() {
            return Err(XmlError::Malformed("it has two elements side by side"));
        }
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err(XmlError::Elements(self.limits.elements));
        }
        if self.open.len() >= self.limits.depth {
            return Err(XmlError::Depth(self.limits.depth));
        }
        self.at += "<".len();
        let name = self.name()?;
        let mut written = Vec::new();
        let is_empty = loop {
            let had_space = self.spaces();
            let rest = &self.text[self.at..];
            if rest.starts_with('>') || rest.starts_with("/>") {
                break rest.starts_with('/');
            }
            if !had_space {
                return Err(XmlError::Malformed("a tag is not one"));
            }
            if written.len() >= ATTRIBUTES {
                return Err(XmlError::Attributes);
            }
            written.push(self.attribute()?);
        };
        self.at += if is_empty { "/>".len() } else { ">".len() };
        let (namespace, attributes) = self.resolved(name, written)?;
        let element = Element {
            namespace,
            name: local(name).into(),
            attributes,
            children: Vec::new(),
            text: String::new(),
            span: start..self.at,
        };
        let open = Open {
            name,
            element,
            scope,
        };
        if is_empty {
            return self.close(open);
        }
        self.open.push(open);
        Ok(())
    }

    fn attribute(&mut self) -> Result<(&'a str, String), XmlError> {
        let name = self.name()?;
        self.spaces();
        self.expect("=")?;
        self.spaces();
        let rest = &self.text[self.at..];
        let quote = rest.chars().next().filter(|it| matches!(it, '"' | '\''));
        let quote = quote.ok_or(XmlError::Malformed("a value has no quotes"))?;
        let end = rest[1..].find(quote);
        let raw = &rest[1..=end.ok_or(XmlError::Malformed("a value does not end"))?];
        if raw.contains('<') {
            return Err(XmlError::Malformed("a value has a <"));
        }
        self.at += raw.len() + 2;
        let spaced = raw.replace(['\n', '\t'], " ");
        Ok((name, unescaped(&spaced)?))
    }

    /// The namespaces of an element and its attributes, with those that it declares itself.
    fn resolved(
        &mut self,
        name: &'a str,
        written: Vec<(&'a str, String)>,
    ) -> Result<(String, Vec<Attribute>), XmlError> {
        let (declared, written): (Vec<_>, Vec<_>) = written
            .into_iter()
            .partition(|(name, _)| *name == "xmlns" || name.starts_with("xmlns:"));
        let known = self.scope.len();
        for (name, value) in declared {
            let prefix = name.strip_prefix("xmlns:").unwrap_or_default();
            let is_twice = self.scope[known..].iter().any(|(own, _)| *own == prefix);
            let is_reserved = prefix == "xml" || prefix == "xmlns" || value == XML;
            let is_empty = value.is_empty() && !prefix.is_empty();
            if is_twice || is_reserved || is_empty || value.len() > NAMESPACE_BYTES {
                return Err(XmlError::Malformed("a namespace is declared wrongly"));
            }
            self.scope.push((prefix, value));
        }
        if self.scope.len() > NAMESPACES {
            return Err(XmlError::Attributes);
        }
        let mut attributes: Vec<Attribute> = Vec::new();
        for (name, value) in written {
            let namespace = match prefix(name) {
                "" => String::new(),
                prefix => self.namespace(prefix)?,
            };
            let name = local(name);
            let is_twice = |it: &Attribute| it.name == name && it.namespace == namespace;
            if attributes.iter().any(is_twice) {
                return Err(XmlError::Malformed("an attribute is there twice"));
            }
            attributes.push(Attribute {
                namespace,
                name: name.into(),
                value,
            });
        }
        Ok((self.namespace(prefix(name))?, attributes))
    }

    fn namespace(&self, prefix: &str) -> Result<String, XmlError> {
        if prefix == "xml" {
            return Ok(XML.into());
        }
        let own = self.scope.iter().rev().find(|(own, _)| *own == prefix);
        match own {
            Some((_, namespace)) => Ok(namespace.clone()),
            None if prefix.is_empty() => Ok(String::new()),
            None => Err(XmlError::Malformed("a prefix has no namespace")),
        }
    }

    /// A name of ASCII letters and digits with at most one colon: SAML has no others.
    fn name(&mut self) -> Result<&'a str, XmlError> {
        let rest = &self.text[self.at..];
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        let name = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        let begins = |part: &str| part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let mut parts = name.split(':');
        if !parts.by_ref().take(2).all(begins) || parts.next().is_some() {
            return Err(XmlError::Malformed("a name is not one"));
        }
        self.at += name.len();
        Ok(name)
    }

    fn spaces(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let after = rest.trim_start_matches(is_space);
        self.at += rest.len() - after.len();
        rest.len() != after.len()
    }

    fn expect(&mut self, what: &'static str) -> Result<(), XmlError> {
        if !self.text[self.at..].starts_with(what) {
            return Err(XmlError::Malformed("a tag is not one"));
        }
        self.at += what.len();
        Ok(())
    }
}

fn prefix(name: &str) -> &str {
    name.split_once(':').map_or("", |(prefix, _)| prefix)
}

fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Text with the five entities of XML and the characters given by number resolved.
fn unescaped(raw: &str) -> Result<String, XmlError> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        let (name, after) = rest[at + 1..].split_once(';').ok_or(XmlError::Dtd)?;
        text.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => numbered(name)?,
        });
        rest = after;
    }
    text.push_str(rest);
    let is_legal = |c: char| c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}') || is_space(c);
    match text.chars().all(is_legal) {
        true => Ok(text),
        false => Err(XmlError::Malformed("it has a character that XML has not")),
    }
}

fn numbered(name: &str) -> Result<char, XmlError> {
    let number = name.strip_prefix('#').ok_or(XmlError::Dtd)?;
    let parsed = match number.strip_prefix('x') {
        Some(digits) if digits.bytes().all(|it| it.is_ascii_hexdigit()) => {
            u32::from_str_radix(digits, 16)
        }
        None if number.bytes().all(|it| it.is_ascii_digit()) => number.parse(),
        _ => return Err(XmlError::Malformed("a character's number is not one")),
    };
    let parsed = parsed.ok().and_then(char::from_u32);
    parsed.ok_or(XmlError::Malformed("a character's number is not one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        bytes: 1_000,
        depth: 4,
        elements: 6,
        comments: false,
    };

    #[test]
    fn elements_have_names_in_namespaces() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a:x xmlns:a='urn:a' xmlns=\"urn:b\" \
             ID=\"1\" a:ID=\"2\"><y>1 &lt; &#50;</y><a:z/></a:x>\n";
        let root = read(text, LIMITS).unwrap();
        assert!(root.is("urn:a", "x"));
        assert_eq!(root.attribute("ID"), Some("1"));
        assert_eq!(root.attributes[1].namespace, "urn:a");
        let y = root.only("urn:b", "y").unwrap();
        assert_eq!(y.plain(), Some("1 < 2"));
        assert_eq!(&text[y.span.clone()], "<y>1 &lt; &#50;</y>");
        assert!(root.only("urn:a", "z").is_some());
        assert!(root.only("urn:b", "z").is_none());
    }

    #[test]
    fn what_parsers_differ_over_is_refused() {
        use XmlError as X;
        let malformed = |text: &str| matches!(read(text, LIMITS), Err(X::Malformed(_)));
        assert_eq!(read("<!DOCTYPE x><x/>", LIMITS), Err(X::Dtd));
        assert_eq!(read("<x>&own;</x>", LIMITS), Err(X::Dtd));
        assert_eq!(read("<x>a<!-- -->b</x>", LIMITS), Err(X::Comment));
        assert_eq!(read("<x>a<?p?>b</x>", LIMITS), Err(X::Instruction));
        assert_eq!(read("<x><![CDATA[a]]></x>", LIMITS), Err(X::Cdata));
        for text in [
            "",
            "x",
            "<x>",
            "</x>",
            "<x></y>",
            "<x/><x/>",
            "<x/>text",
            "<p:x/>",
            "<x a=1/>",
            "<x a='1' a='2'/>",
            "<x xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>",
            "<x a='<'/>",
            "<x>&#0;</x>",
            "<x>\u{1}</x>",
            "<a:b:c xmlns:a='u'/>",
            "<x xmlns:p=''/>",
            "<x",
            "<x a",
            "<x a=",
            "<x a='",
            "<",
            "\u{feff}<x/>",
        ] {
            assert!(malformed(text), "{text}: {:?}", read(text, LIMITS));
        }
    }

    #[test]
    fn a_document_costs_no_more_than_it_may() {
        use XmlError as X;
        assert_eq!(read(&" ".repeat(1_001), LIMITS), Err(X::Size(1_000)));
        assert_eq!(
            read("<a><a><a><a><a/></a></a></a></a>", LIMITS),
            Err(X::Depth(4))
        );
        let many = format!("<a>{}</a>", "<b/>".repeat(6));
        assert_eq!(read(&many, LIMITS), Err(X::Elements(6)));
        let names: String = (0..40).map(|it| format!(" a{it}=''")).collect();
        assert_eq!(read(&format!("<a{names}/>"), LIMITS), Err(X::Attributes));
        assert!(
            read(
                "<a><!-- said --></a>",
                Limits {
                    comments: true,
                    ..LIMITS
                }
            )
            .is_ok()
        );
    }
}
