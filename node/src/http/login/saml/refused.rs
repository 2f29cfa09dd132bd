//! Why a log-in by SAML is refused.

use super::xml::XmlError;

/// Why a response of a provider, or what a browser brings with it, lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("there is no response in the request")]
    Empty,
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the response is no base64 of UTF-8 text")]
    Encoding,
    #[error("the response cannot be read: {0}")]
    Xml(#[from] XmlError),
    #[error("the response is not as SAML 2.0 has it: {0}")]
    Shape(&'static str),
    #[error("the response has two elements with one ID")]
    DuplicateId,
    #[error("the response has {0} assertions, and not one")]
    Assertions(usize),
    #[error(
        "the assertion is encrypted, which this node does not read: let the provider only sign"
    )]
    Encrypted,
    #[error("the provider did not log the user in: {0}")]
    Status(String),
    #[error("nobody here asked for this log-in, or more than ten minutes ago: begin it again")]
    Unsolicited,
    #[error("this response was used already: begin the log-in again")]
    Replayed,
    #[error("the log-in was begun in another browser: begin it again in this one")]
    OtherBrowser,
    #[error("the node is busy with too many log-ins: try again in some minutes")]
    Busy,
    #[error("nothing in the response is signed")]
    Unsigned,
    #[error("a signature of the response is where none may be")]
    SignaturePlace,
    #[error("a signature of the response is not of the permitted form: {0}")]
    SignatureForm(&'static str),
    #[error("the response is signed by an algorithm that is not accepted: {0}")]
    Algorithm(String),
    #[error(
        "the signature is of no certificate that the node's configuration has for the provider, or the response was altered"
    )]
    Signature,
    #[error("what was signed is not the assertion that would be read")]
    Wrapped,
    #[error("the response is meant for another destination")]
    Destination,
    #[error("the response is of another provider")]
    Issuer,
    #[error("the assertion is for other audiences")]
    Audience,
    #[error("the assertion has a condition that this node does not know")]
    Condition,
    #[error("the assertion has no confirmation by the bearer that fits: {0}")]
    Confirmation(&'static str),
    #[error("the assertion is not valid yet: compare the clocks of node and provider")]
    NotYet,
    #[error("the assertion is not valid any more: compare the clocks of node and provider")]
    Expired,
    #[error("the provider names no user, or one anew for each log-in (a transient NameID)")]
    Subject,
    #[error("the provider does not say the attribute '{0}', which has the user's name")]
    Attribute(String),
}
