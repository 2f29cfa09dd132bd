//! What a provider may say, and what it says for somebody else, of another time, or in another form:
//! all of it signed by the provider itself.

use super::super::Refused;
use super::super::xml::XmlError;
use super::idp::{ISSUER, MINUTE, NOW, Signer, World, changed};

#[test]
fn a_response_is_accepted_whatever_of_it_is_signed() {
    let world = World::new();
    let message = world.message();
    let own = Signer::trusted();
    for signed in [
        own.assertion(&message),
        own.message(&message),
        own.message(&own.assertion(&message)),
    ] {
        let accepted = world.judge(&signed).unwrap();
        assert_eq!(accepted.request, world.request);
        assert_eq!(accepted.vouched.name_id.as_deref(), Some("alice-7"));
        assert_eq!(accepted.vouched.session.as_deref(), Some("_session"));
        assert_eq!(accepted.vouched.until_ms, Some(NOW + 480 * MINUTE));
        let claims = world.provider.claims(&accepted.vouched).unwrap();
        assert_eq!(claims.subject.source, "saml:staff");
        assert_eq!(claims.subject.name, "alice-7");
        assert_eq!(claims.username, "alice");
        assert_eq!(claims.email, "alice@alpha.test");
        assert_eq!(claims.groups, ["staff", "R&D"]);
    }
}

#[test]
fn a_time_holds_with_a_leeway_and_no_longer() {
    let world = World::new();
    let signed = world.signed();
    let end = NOW + 6 * MINUTE;
    assert!(world.judge_at(&signed, end - 1).is_ok());
    assert_eq!(world.judge_at(&signed, end), Err(Refused::Expired));
    assert!(world.judge_at(&signed, NOW - MINUTE).is_ok());
    assert_eq!(
        world.judge_at(&signed, NOW - MINUTE - 1),
        Err(Refused::NotYet)
    );
}

#[test]
fn what_the_provider_says_for_others_lets_nobody_in() {
    let world = World::new();
    let message = world.message();
    let acs = &world.provider.acs;
    let in_response = format!("InResponseTo=\"{}\"", world.request);
    let confirmation = "it is for another recipient";
    let cases: Vec<(&str, String, &str, Refused)> = vec![
        (
            "destination",
            format!("Destination=\"{acs}\""),
            "Destination=\"https://other.test\"",
            Refused::Destination,
        ),
        (
            "no destination",
            format!("Destination=\"{acs}\""),
            "",
            Refused::Destination,
        ),
        (
            "recipient",
            format!("Recipient=\"{acs}\""),
            "Recipient=\"https://other.test/acs\"",
            Refused::Confirmation(confirmation),
        ),
        (
            "no recipient",
            format!("Recipient=\"{acs}\""),
            "",
            Refused::Confirmation(confirmation),
        ),
        (
            "audience",
            format!("<saml:Audience>{}<", world.provider.entity_id),
            "<saml:Audience>https://other.test<",
            Refused::Audience,
        ),
        (
            "no audience",
            "saml:AudienceRestriction".into(),
            "saml:OneTimeUse",
            Refused::Audience,
        ),
        (
            "no conditions",
            "saml:Conditions".into(),
            "saml:Advice",
            Refused::Audience,
        ),
        (
            "a second restriction",
            "</saml:Conditions>".into(),
            "<saml:AudienceRestriction><saml:Audience>urn:x</saml:Audience></saml:AudienceRestriction></saml:Conditions>",
            Refused::Audience,
        ),
        (
            "a condition",
            "</saml:Conditions>".into(),
            "<x:Near xmlns:x=\"urn:x\"/></saml:Conditions>",
            Refused::Condition,
        ),
        (
            "issuer",
            format!(">{ISSUER}<"),
            ">https://idp.other.test<",
            Refused::Issuer,
        ),
        (
            "issuer of the assertion",
            format!("IssueInstant=\"2026-11-18T11:06:40Z\"><saml:Issuer>{ISSUER}"),
            "IssueInstant=\"2026-11-18T11:06:40Z\"><saml:Issuer>urn:x",
            Refused::Issuer,
        ),
        ("unsolicited", in_response.clone(), "", Refused::Unsolicited),
        (
            "another request",
            in_response,
            "InResponseTo=\"_1\"",
            Refused::Unsolicited,
        ),
        (
            "no bearer",
            "cm:bearer".into(),
            "cm:sender-vouches",
            Refused::Confirmation("it is of another kind"),
        ),
        (
            "no confirmation",
            "saml:SubjectConfirmation>".into(),
            "saml:BaseID>",
            Refused::Confirmation("there is none"),
        ),
        (
            "a failed log-in",
            "status:Success".into(),
            "status:Responder",
            Refused::Status("urn:oasis:names:tc:SAML:2.0:status:Responder".into()),
        ),
        (
            "no log-in",
            "saml:AuthnStatement".into(),
            "saml:Advice",
            Refused::Shape("it does not say that the user logged in"),
        ),
        (
            "a session that is over",
            "SessionNotOnOrAfter=\"2026-11-18T19:06:40Z\"".into(),
            "SessionNotOnOrAfter=\"2026-11-18T11:06:40Z\"",
            Refused::Expired,
        ),
        (
            "a time elsewhere",
            "SessionNotOnOrAfter=\"2026-11-18T19:06:40Z\"".into(),
            "SessionNotOnOrAfter=\"2026-11-18T19:06:40+09:00\"",
            Refused::Shape("a time is not one in UTC"),
        ),
        (
            "two subjects",
            "</saml:NameID>".into(),
            "</saml:NameID><saml:NameID>bob</saml:NameID>",
            Refused::Subject,
        ),
        (
            "an empty subject",
            ">alice-7<".into(),
            "><",
            Refused::Subject,
        ),
        (
            "a subject in parts",
            ">alice-7<".into(),
            ">alice<x xmlns=\"urn:x\"/>-7<",
            Refused::Subject,
        ),
        (
            "an encrypted assertion",
            "</samlp:Response>".into(),
            "<saml:EncryptedAssertion/></samlp:Response>",
            Refused::Encrypted,
        ),
        (
            "version 1",
            "ID=\"_response\" Version=\"2.0\"".into(),
            "ID=\"_response\" Version=\"1.1\"",
            Refused::Shape("it is no response of version 2.0"),
        ),
    ];
    assert!(world.judge(&Signer::trusted().assertion(&message)).is_ok());
    for (what, from, to, why) in cases {
        // The start tag goes with its end tag.
        let message = message.replace(
            "saml:SubjectConfirmation Method",
            match what {
                "no confirmation" => "saml:BaseID Method",
                _ => "saml:SubjectConfirmation Method",
            },
        );
        let signed = Signer::trusted().assertion(&changed(&message, &from, to));
        assert_eq!(world.judge(&signed).err(), Some(why), "{what}: {signed}");
    }
}

#[test]
fn a_confirmation_that_answers_another_request_is_refused() {
    let world = World::new();
    let other = world.requests.begin("staff", "other", NOW);
    let own = format!("InResponseTo=\"{}\"/>", world.request);
    let message = changed(
        &world.message(),
        &own,
        &format!("InResponseTo=\"{other}\"/>"),
    );
    let why = Refused::Confirmation("it answers another request");
    assert_eq!(
        world.judge(&Signer::trusted().assertion(&message)),
        Err(why)
    );
}

#[test]
fn a_response_is_used_once() {
    let world = World::new();
    let signed = world.signed();
    let accepted = world.judge(&signed).unwrap();
    let taken = world
        .requests
        .answer(&accepted.request, "staff", accepted.vouched, NOW);
    assert_eq!(taken, Ok(()));
    assert_eq!(world.judge(&signed), Err(Refused::Replayed));
    // The same assertion in a response to another request.
    let other = world.requests.begin("staff", "other", NOW);
    let message = signed.replacen(&world.request, &other, 1);
    let why = Refused::Confirmation("it answers another request");
    assert_eq!(world.judge(&message), Err(why));
    // After a restart the node knows none of the requests of before.
    let restarted = World {
        requests: super::super::requests::Requests::new([8; 32]),
        ..world
    };
    assert_eq!(restarted.judge(&signed), Err(Refused::Unsolicited));
}

#[test]
fn a_name_that_changes_at_every_log_in_is_nobodys() {
    let world = World::new();
    let message = changed(
        &world.message(),
        "nameid-format:persistent",
        "nameid-format:transient",
    );
    let accepted = world.judge(&Signer::trusted().assertion(&message)).unwrap();
    assert_eq!(
        world.provider.claims(&accepted.vouched),
        Err(Refused::Subject)
    );
    let mut provider = world.provider.clone();
    provider.config.subject = Some("uid".into());
    let claims = provider.claims(&accepted.vouched).unwrap();
    assert_eq!(claims.subject.name, "alice");
    provider.config.username = Some("login".into());
    let claims = provider.claims(&accepted.vouched);
    assert_eq!(claims, Err(Refused::Attribute("login".into())));
}

#[test]
fn what_costs_too_much_is_not_read() {
    let world = World::new();
    let inside = |text: &str| {
        let extensions = format!("<samlp:Extensions>{text}</samlp:Extensions><samlp:Status>");
        changed(&world.message(), "<samlp:Status>", &extensions)
    };
    let why = |message: &str| world.judge(&Signer::trusted().assertion(message)).err();
    assert_eq!(why(&inside("")), None);
    let deep = format!("{}{}", "<saml:a>".repeat(100), "</saml:a>".repeat(100));
    assert_eq!(why(&inside(&deep)), Some(Refused::Xml(XmlError::Depth(24))));
    let many = "<saml:a/>".repeat(5_000);
    assert_eq!(
        why(&inside(&many)),
        Some(Refused::Xml(XmlError::Elements(5_000)))
    );
    let large = "a".repeat(256 << 10);
    assert_eq!(why(&inside(&large)), Some(Refused::TooLarge(256 << 10)));
    let judge = |encoded: &str| world.judge_encoded(encoded, NOW).err();
    assert_eq!(
        judge(&"A".repeat(1 << 20)),
        Some(Refused::TooLarge(256 << 10))
    );
    assert_eq!(judge(""), Some(Refused::Empty));
    assert_eq!(judge(" \r\n"), Some(Refused::Empty));
    assert_eq!(judge("%%%"), Some(Refused::Encoding));
    assert_eq!(judge("/////w=="), Some(Refused::Encoding));
}
