//! The second factor as clients set it up and are asked for it: Mattermost's calls for what it names
//! multi-factor authentication (MFA).

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::routing::{post, put};
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{self, Entered};
use super::extract::Json;
use super::failure::{Answer, Failure};
use super::{App, Web};
use crate::home::people::{Account, Action, Session, SessionKind};

/// Whether local accounts must have a second factor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecondFactorRule {
    /// Whoever wants one sets one up.
    #[default]
    Optional,
    /// Whoever has none may do nothing but set one up.
    Required,
}

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/users/{user}/mfa/generate", post(generate))
        .route("/users/{user}/mfa", put(switch))
}

/// Whether a session may do nothing yet but set up a second factor. Programs are not asked: neither
/// bots nor whoever has an access token; and accounts of a provider have theirs there.
pub fn is_owed(web: &Web, account: &Account, session: &Session) -> bool {
    web.login.second_factor == SecondFactorRule::Required
        && session.kind == SessionKind::Device
        && account.subject.is_none()
        && account.bot_of.is_none()
        && !account.has_second_factor()
}

/// What a session is told that owes a second factor.
pub fn owed() -> Failure {
    Failure::new(
        StatusCode::UNAUTHORIZED,
        "api.context.mfa_required.app_error",
        "This node asks its users for a second factor: set one up before anything else.",
    )
}

/// Goes on only if the account has no second factor, or the code is right.
pub fn check(web: &Web, account: &Account, code: &str, address: SocketAddr) -> Answer<()> {
    if !account.has_second_factor() {
        return Ok(());
    }
    if code.trim().is_empty() {
        return Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "mfa.validate_token.authenticate.app_error",
            "Enter the code that your authenticator shows, or a recovery code.",
        ));
    }
    take(
        web,
        account,
        code,
        address,
        "api.user.check_user_mfa.bad_code.app_error",
    )
}

/// Uses a code up; a wrong one counts as a wrong password does, and for longer.
fn take(web: &Web, account: &Account, code: &str, address: SocketAddr, id: &str) -> Answer<()> {
    let guess = web.gate.admit_code(address.ip(), &account.username)?;
    match web.home.people.use_code(account.id, code)? {
        true => {
            guess.right();
            Ok(())
        }
        false => Err(wrong(web, account, address, id)),
    }
}

fn wrong(web: &Web, account: &Account, address: SocketAddr, id: &str) -> Failure {
    let text = format!("{} from {}: a wrong code", account.id, address.ip());
    auth::record(web, "login_refused", &text);
    Failure::new(
        StatusCode::UNAUTHORIZED,
        id,
        "The code is not right, or was used already: wait for the next one. If none is taken, see whether your device's clock is right.",
    )
}

/// A new secret, which counts from when a code shows that a device has it.
async fn generate(
    Entered(me): Entered,
    State(web): App,
    Path(user): Path<String>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    if !me.account.has_password() || me.session.kind != SessionKind::Device {
        return Err(Failure::bad(
            "A second factor is for somebody who logs in here with a password.",
        ));
    }
    let Some(secret) = web.home.people.new_second_factor(user)? else {
        return Err(Failure::bad(
            "You have a second factor already: switch it off first.",
        ));
    };
    let uri = provisioning_uri(
        web.home.node.identity.name.as_str(),
        &me.account.username,
        &secret,
    );
    Ok(Answered(
        json!({"secret": secret, "qr_code": "", "otpauth": uri}),
    ))
}

/// What an authenticator reads from a picture or a link.
fn provisioning_uri(partner: &str, user: &str, secret: &str) -> String {
    let issuer = percent_encoded(&format!("Comity {partner}"));
    let user = percent_encoded(user);
    format!("otpauth://totp/{issuer}:{user}?secret={secret}&issuer={issuer}")
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        // Writing to a String does not fail.
        let _ = match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => write!(encoded, "{}", char::from(byte)),
            false => write!(encoded, "%{byte:02X}"),
        };
    }
    encoded
}

#[derive(Deserialize)]
struct Switch {
    activate: bool,
    #[serde(default)]
    code: String,
}

async fn switch(
    Entered(me): Entered,
    State(web): App,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Path(user): Path<String>,
    Json(wanted): Json<Switch>,
) -> Answer<Answered<Value>> {
    if me.only(&user).is_err() {
        return switch_off_for(&web, &me, &user, wanted.activate);
    }
    let account = &me.account;
    if wanted.activate {
        let guess = web.gate.admit_code(address.ip(), &account.username)?;
        let turned_on = web
            .home
            .people
            .turn_on_second_factor(account.id, &wanted.code)?;
        let Some(codes) = turned_on else {
            let id = "mfa.activate.bad_token.app_error";
            return Err(wrong(&web, account, address, id));
        };
        guess.right();
        auth::record(&web, "second_factor_on", &account.id.to_string());
        auth::end_other_devices(&web, &me)?;
        return Ok(Answered(json!({"status": "OK", "recovery_codes": codes})));
    }
    if web.login.second_factor == SecondFactorRule::Required {
        return Err(Failure::forbidden(
            "This node asks its users for a second factor. If your device is to change, ask your security officer to switch yours off.",
        ));
    }
    if account.has_second_factor() {
        let id = "api.user.check_user_mfa.bad_code.app_error";
        take(&web, account, &wanted.code, address, id)?;
    }
    web.home.people.turn_off_second_factor(account.id)?;
    auth::record(&web, "second_factor_off", &account.id.to_string());
    Ok(Answered(json!({"status": "OK"})))
}

/// For somebody who has lost the device, and the recovery codes with it: a security officer's.
fn switch_off_for(web: &Web, me: &auth::Me, user: &str, activate: bool) -> Answer<Answered<Value>> {
    if is_owed(web, &me.account, &me.session) {
        return Err(owed());
    }
    let user = me.or_may(web, Action::IssueCredentials, user)?;
    if activate {
        return Err(Failure::bad("Nobody sets up another user's second factor."));
    }
    let text = format!("{user} by {}", me.id());
    auth::record(web, "second_factor_off", &text);
    web.home.people.turn_off_second_factor(user)?;
    auth::end_all_devices(web, user)?;
    Ok(Answered(json!({"status": "OK"})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authenticator_reads_the_link() {
        assert_eq!(
            provisioning_uri("alpha", "alice.b", "GEZDGNBV"),
            "otpauth://totp/Comity%20alpha:alice.b?secret=GEZDGNBV&issuer=Comity%20alpha"
        );
        assert_eq!(percent_encoded("ü&:"), "%C3%BC%26%3A");
    }
}
