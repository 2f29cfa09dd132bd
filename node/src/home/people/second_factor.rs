//! The second factor of a local account: codes by time (TOTP, RFC 6238), and recovery codes for
//! whoever has lost the device that shows them.

use std::fmt;

use comity_crypto as crypto;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use totp_rs::{Builder, Secret};

use super::{AccountError, People};
use crate::home::id::Id;

/// How long one code holds, in seconds (RFC 6238, section 5.2; what authenticators take for granted).
const STEP_S: u64 = 30;
/// Steps before and after the present one whose codes are taken, too: devices' clocks differ, and
/// typing takes a while (RFC 6238, section 5.2, asks for one at most).
const WINDOW: u64 = 1;
/// A secret as long as SHA-1's output (RFC 4226, section 4, requirement R6).
const SECRET_BYTES: usize = 20;
/// Recovery codes of one account, and the random bytes of each: too many to guess, so a fast hash
/// keeps them.
const RECOVERY_CODES: usize = 10;
const RECOVERY_BYTES: usize = 10;
/// The longest code that is looked at, with blanks and dashes.
const CODE_BYTES: usize = 64;

/// What is kept of a second factor. It lies in the account's row, which the store seals.
#[derive(Clone, Serialize, Deserialize)]
pub struct SecondFactor {
    secret: ByteBuf,
    /// Whether somebody has shown that a device has the secret; until then nobody is asked for codes.
    is_on: bool,
    /// The last step whose code was used: none of it or before it is taken again.
    used_step: u64,
    /// Hashes of the recovery codes that are left.
    recovery: Vec<ByteBuf>,
}

impl SecondFactor {
    fn new(secret: [u8; SECRET_BYTES]) -> SecondFactor {
        SecondFactor {
            secret: ByteBuf::from(secret),
            is_on: false,
            used_step: 0,
            recovery: Vec::new(),
        }
    }

    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Takes a code if it is one of now, and no later one was used; false where it is wrong.
    fn take_code(&mut self, code: &str, now_ms: u64) -> bool {
        let now = now_ms / 1000 / STEP_S;
        let mut steps = now.saturating_sub(WINDOW)..=now.saturating_add(WINDOW);
        let used = self.used_step;
        let step = steps.find(|step| *step > used && self.is_of_step(code, *step));
        let Some(step) = step else { return false };
        self.used_step = step;
        true
    }

    fn is_of_step(&self, code: &str, step: u64) -> bool {
        let secret = Secret::from(self.secret.as_slice());
        let Ok(totp) = Builder::new()
            .with_secret(secret)
            .with_step_duration(STEP_S)
            .build()
        else {
            return false;
        };
        let right = totp.generate(step.saturating_mul(STEP_S)).to_string();
        is_same(right.as_bytes(), code.as_bytes())
    }

    fn take_recovery_code(&mut self, user: Id, code: &str) -> bool {
        let digest = recovery_digest(user, code);
        let mut left = self.recovery.iter();
        let Some(at) = left.position(|kept| is_same(kept, &digest)) else {
            return false;
        };
        self.recovery.remove(at);
        true
    }
}

/// Shows nothing of the secret.
impl fmt::Debug for SecondFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondFactor")
            .field("is_on", &self.is_on)
            .finish_non_exhaustive()
    }
}

impl People {
    /// Draws a secret for a user who has no second factor yet, in base 32; nobody is asked for codes
    /// before [`Self::turn_on_second_factor`]. None where one is on.
    pub fn new_second_factor(&self, user: Id) -> Result<Option<String>, AccountError> {
        let secret = self.environment.randomness.bytes::<SECRET_BYTES>();
        let changed = self.update_if(user, |account| {
            let is_free = !account.has_second_factor();
            if is_free {
                account.second_factor = Some(SecondFactor::new(secret));
            }
            is_free
        })?;
        Ok(changed.map(|_| Secret::from(secret).to_base32()))
    }

    /// Asks for codes from now on, if this is a right one; gives the recovery codes, which are told
    /// this once. None where the code is wrong, or there is no secret that waits for one.
    pub fn turn_on_second_factor(
        &self,
        user: Id,
        code: &str,
    ) -> Result<Option<Vec<String>>, AccountError> {
        let now = self.now_ms();
        let randomness = &self.environment.randomness;
        let drawn = (0..RECOVERY_CODES).map(|_| randomness.bytes::<RECOVERY_BYTES>());
        let codes: Vec<String> = drawn.map(|it| Secret::from(it).to_base32()).collect();
        let code = plain(code);
        let changed = self.update_if(user, |account| {
            let waiting = account.second_factor.as_mut().filter(|it| !it.is_on);
            let Some(factor) = waiting else { return false };
            if !factor.take_code(&code, now) {
                return false;
            }
            factor.is_on = true;
            let digests = codes.iter().map(|code| recovery_digest(user, code));
            factor.recovery = digests.map(ByteBuf::from).collect();
            true
        })?;
        Ok(changed.map(|_| codes))
    }

    /// Takes a code of an account, or one of its recovery codes: each lets in once. That it was used
    /// is on disk when this returns true.
    pub fn use_code(&self, user: Id, code: &str) -> Result<bool, AccountError> {
        let now = self.now_ms();
        let code = plain(code);
        let changed = self.update_if(user, |account| {
            let Some(factor) = account.second_factor.as_mut().filter(|it| it.is_on) else {
                return false;
            };
            factor.take_code(&code, now) || factor.take_recovery_code(user, &code)
        })?;
        Ok(changed.is_some())
    }

    pub fn turn_off_second_factor(&self, user: Id) -> Result<(), AccountError> {
        self.update(user, |account| account.second_factor = None)?;
        Ok(())
    }
}

/// A code as people type it, without blanks and dashes.
fn plain(code: &str) -> String {
    let typed = code.bytes().take(CODE_BYTES);
    let kept = typed.filter(u8::is_ascii_alphanumeric);
    kept.map(|it| char::from(it.to_ascii_uppercase())).collect()
}

fn recovery_digest(user: Id, code: &str) -> [u8; 32] {
    crypto::hash("comity recovery code", &[&user.0, code.as_bytes()])
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, SHA-1: seconds, and the last six of the eight digits that stand there.
    const VECTORS: [(u64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    fn factor() -> SecondFactor {
        SecondFactor::new(*b"12345678901234567890")
    }

    #[test]
    fn the_codes_of_the_rfc_are_taken_in_their_time_and_one_step_around() {
        for (at_s, code) in VECTORS {
            let begin = at_s / STEP_S * STEP_S;
            let takes = |now_s: u64| factor().take_code(code, now_s * 1000);
            assert!(takes(at_s), "{code}");
            assert!(takes(begin + 2 * STEP_S - 1), "{code} a step late");
            assert!(!takes(begin + 2 * STEP_S), "{code} two steps late");
            assert!(takes(begin - STEP_S), "{code} a step early");
            assert!(!takes((begin - STEP_S).saturating_sub(1)) || begin == STEP_S);
        }
    }

    #[test]
    fn a_code_is_taken_once_and_none_of_before() {
        let mut factor = factor();
        let at_ms = 1_111_111_111_000;
        assert!(factor.take_code("050471", at_ms));
        assert!(!factor.take_code("050471", at_ms));
        // Of the step before, which the window would still let in.
        assert!(!factor.take_code("081804", at_ms));
        assert!(!factor.take_code("", at_ms + 60_000));
        assert!(!factor.take_code("000000", at_ms + 60_000));
    }

    #[test]
    fn a_recovery_code_is_taken_once_and_of_its_user_only() {
        let (own, other) = (Id([1; 16]), Id([2; 16]));
        let mut factor = factor();
        factor.recovery = vec![ByteBuf::from(recovery_digest(own, "ABCDEFGH"))];
        let typed = plain(" abcd-efgh ");
        assert!(!factor.take_recovery_code(other, &typed));
        assert!(factor.take_recovery_code(own, &typed));
        assert!(!factor.take_recovery_code(own, &typed));
    }

    #[test]
    fn the_secret_is_not_shown() {
        let shown = format!("{:?}", factor());
        assert!(!shown.contains("49"), "{shown}");
    }
}
