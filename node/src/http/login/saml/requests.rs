//! The log-ins that were begun here. A request's id says itself when it was made, for which provider
//! and for which browser, under a key that only this process has: however many are begun, none of them
//! takes memory. What is remembered is which ones were answered.
//!
//! A provider's response names the request that it answers inside what it signed, and a request is
//! answered once. So an assertion is used once, whatever its own id; and after a restart, with another
//! key, none of before is.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::{constant_time, hmac};

use super::Refused;
use super::response::Vouched;

/// How long a user may take at the provider.
pub const REQUEST_MS: u64 = 600_000;
/// How long the browser may take from the response to the end of the log-in: one redirect.
const FINISH_MS: u64 = 60_000;
/// Requests that were answered in [`REQUEST_MS`] and are remembered: more than a partner has users at
/// a log-in at a time. With more, log-ins wait.
const ANSWERED: usize = 10_000;
/// The bytes of the parts of an id: the time, what it has of the browser's secret, the seal.
const TIME: usize = 8;
const BOUND: usize = 16;
const SEAL: usize = 16;

/// All requests of this process.
pub struct Requests {
    key: hmac::Key,
    answered: Mutex<BTreeMap<String, Answered>>,
}

/// A request that its provider answered; it is kept until its time is over.
struct Answered {
    made_ms: u64,
    at_ms: u64,
    /// Until the browser shows that it began the log-in.
    vouched: Option<Vouched>,
}

impl Requests {
    pub fn new(key: [u8; 32]) -> Requests {
        Requests {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            answered: Mutex::default(),
        }
    }

    /// The id of a new request, which belongs to whoever has the secret.
    pub fn begin(&self, provider: &str, secret: &str, now_ms: u64) -> String {
        let bound = self.tag("browser", secret.as_bytes());
        let mut parts = now_ms.to_be_bytes().to_vec();
        parts.extend(&bound[..BOUND]);
        let seal = self.seal(provider, &parts);
        parts.extend(seal);
        // An XML id does not begin with a digit.
        format!("_{}", hex(&parts))
    }

    /// Whether a response to this request may come now.
    pub fn expect(&self, id: &str, provider: &str, now_ms: u64) -> Result<(), Refused> {
        let made_ms = self.made_ms(id, provider).ok_or(Refused::Unsolicited)?;
        if now_ms.saturating_sub(made_ms) > REQUEST_MS {
            return Err(Refused::Unsolicited);
        }
        let answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        match answered.contains_key(id) {
            true => Err(Refused::Replayed),
            false => Ok(()),
        }
    }

    /// Takes the answer to a request, once.
    pub fn answer(
        &self,
        id: &str,
        provider: &str,
        vouched: Vouched,
        now_ms: u64,
    ) -> Result<(), Refused> {
        let made_ms = self.made_ms(id, provider).ok_or(Refused::Unsolicited)?;
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if answered.contains_key(id) {
            return Err(Refused::Replayed);
        }
        if answered.len() >= ANSWERED {
            answered.retain(|_, it| now_ms.saturating_sub(it.made_ms) <= REQUEST_MS);
        }
        if answered.len() >= ANSWERED {
            return Err(Refused::Busy);
        }
        let taken = Answered {
            made_ms,
            at_ms: now_ms,
            vouched: Some(vouched),
        };
        answered.insert(id.into(), taken);
        Ok(())
    }

    /// Whom the provider vouched for, told once, to the browser that began the log-in.
    pub fn finish(
        &self,
        id: &str,
        provider: &str,
        secret: &str,
        now_ms: u64,
    ) -> Result<Vouched, Refused> {
        self.made_ms(id, provider).ok_or(Refused::Unsolicited)?;
        let bound = self.tag("browser", secret.as_bytes());
        let of_id = parts(id).ok_or(Refused::Unsolicited)?;
        let of_id = &of_id[TIME..TIME + BOUND];
        if constant_time::verify_slices_are_equal(of_id, &bound[..BOUND]).is_err() {
            return Err(Refused::OtherBrowser);
        }
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        let held = answered.get_mut(id).ok_or(Refused::Unsolicited)?;
        let vouched = held.vouched.take().ok_or(Refused::Replayed)?;
        match now_ms.saturating_sub(held.at_ms) <= FINISH_MS {
            true => Ok(vouched),
            false => Err(Refused::Unsolicited),
        }
    }

    /// When the request was made, if it was by this process and for this provider.
    fn made_ms(&self, id: &str, provider: &str) -> Option<u64> {
        let parts = parts(id)?;
        let (said, seal) = parts.split_at(TIME + BOUND);
        let own = self.seal(provider, said);
        constant_time::verify_slices_are_equal(seal, &own).ok()?;
        Some(u64::from_be_bytes(said[..TIME].try_into().ok()?))
    }

    fn seal(&self, provider: &str, said: &[u8]) -> Vec<u8> {
        // What is said has one length, so that the two cannot run into each other.
        let text = [said, provider.as_bytes()].concat();
        self.tag("request", &text)[..SEAL].to_vec()
    }

    fn tag(&self, purpose: &str, text: &[u8]) -> Vec<u8> {
        let text = [purpose.as_bytes(), b"\0", text].concat();
        hmac::sign(&self.key, &text).as_ref().to_vec()
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of an id, which has one spelling only.
fn parts(id: &str) -> Option<Vec<u8>> {
    let digits = id.strip_prefix('_')?.as_bytes();
    if digits.len() != 2 * (TIME + BOUND + SEAL) {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_000_000_000;

    #[test]
    fn a_request_is_of_one_process_one_provider_and_one_browser() {
        let (requests, other) = (Requests::new([1; 32]), Requests::new([2; 32]));
        let id = requests.begin("staff", "secret", NOW);
        assert_eq!(requests.expect(&id, "staff", NOW), Ok(()));
        assert_eq!(
            requests.expect(&id, "guests", NOW),
            Err(Refused::Unsolicited)
        );
        assert_eq!(other.expect(&id, "staff", NOW), Err(Refused::Unsolicited));
        for wrong in [
            "",
            "_",
            "_00",
            &id.to_uppercase(),
            &format!("{id}0"),
            &id[1..],
        ] {
            assert_eq!(
                requests.expect(wrong, "staff", NOW),
                Err(Refused::Unsolicited)
            );
        }
        let answer = || requests.answer(&id, "staff", Vouched::default(), NOW);
        assert_eq!(answer(), Ok(()));
        assert_eq!(answer(), Err(Refused::Replayed));
        assert_eq!(requests.expect(&id, "staff", NOW), Err(Refused::Replayed));
        let finish = |secret| requests.finish(&id, "staff", secret, NOW);
        assert_eq!(finish("another"), Err(Refused::OtherBrowser));
        assert_eq!(finish("secret"), Ok(Vouched::default()));
        assert_eq!(finish("secret"), Err(Refused::Replayed));
    }

    #[test]
    fn a_request_ends_and_so_does_its_answer() {
        let requests = Requests::new([1; 32]);
        let id = requests.begin("staff", "secret", NOW);
        let late = NOW + REQUEST_MS + 1;
        assert_eq!(requests.expect(&id, "staff", late - 1), Ok(()));
        assert_eq!(
            requests.expect(&id, "staff", late),
            Err(Refused::Unsolicited)
        );
        requests
            .answer(&id, "staff", Vouched::default(), NOW)
            .unwrap();
        let late = NOW + FINISH_MS + 1;
        assert_eq!(
            requests.finish(&id, "staff", "secret", late),
            Err(Refused::Unsolicited)
        );
    }

    #[test]
    fn so_many_answers_are_remembered_and_no_more() {
        let requests = Requests::new([1; 32]);
        let answer = |number: usize, now_ms| {
            let id = requests.begin("staff", &number.to_string(), now_ms);
            requests.answer(&id, "staff", Vouched::default(), now_ms)
        };
        for number in 0..ANSWERED {
            answer(number, NOW).unwrap();
        }
        assert_eq!(answer(ANSWERED, NOW), Err(Refused::Busy));
        assert_eq!(answer(ANSWERED, NOW + REQUEST_MS + 1), Ok(()));
    }
}
