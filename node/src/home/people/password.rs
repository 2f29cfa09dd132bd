//! Passwords: Argon2id (RFC 9106) with the parameters that OWASP's password storage page asks for.

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// Memory in KiB, passes, lanes.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const HASH_BYTES: usize = 32;
/// The shortest password of a local account (NIST SP 800-63B: at least 8 characters).
pub const SHORTEST: usize = 8;
/// The longest one, in bytes: what is longer only costs time.
pub const LONGEST: usize = 256;

/// What is kept of a password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PasswordHash {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: ByteBuf,
    hash: ByteBuf,
}

impl PasswordHash {
    /// Takes 19 MiB and some 20 ms.
    pub fn of(password: &str, salt: [u8; 16]) -> Option<PasswordHash> {
        let hash = derive((MEMORY_KIB, PASSES, LANES), &salt, password)?;
        Some(PasswordHash {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: ByteBuf::from(salt),
            hash: ByteBuf::from(hash),
        })
    }

    /// What nobody's password has, for names that nobody has: to hold one against it costs as much as
    /// for any other.
    pub fn nobodys() -> PasswordHash {
        PasswordHash {
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: ByteBuf::from([0; 16]),
            hash: ByteBuf::from([0; HASH_BYTES]),
        }
    }

    /// Costs as much for a wrong password as for the right one.
    pub fn is_of(&self, password: &str) -> bool {
        let parameters = (self.memory_kib, self.passes, self.lanes);
        derive(parameters, &self.salt, password).is_some_and(|hash| {
            aws_lc_rs::constant_time::verify_slices_are_equal(&hash, &self.hash).is_ok()
        })
    }
}

fn derive(parameters: (u32, u32, u32), salt: &[u8], password: &str) -> Option<Vec<u8>> {
    let (memory, passes, lanes) = parameters;
    let params = Params::new(memory, passes, lanes, Some(HASH_BYTES)).ok()?;
    let mut hash = vec![0; HASH_BYTES];
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let password = password.as_bytes();
    argon.hash_password_into(password, salt, &mut hash).ok()?;
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_the_password_of_nobody() {
        let nobodys = PasswordHash::nobodys();
        let own = PasswordHash::of("correct horse", [7; 16]).unwrap();
        let cost = |it: &PasswordHash| (it.memory_kib, it.passes, it.lanes, it.salt.len());
        assert_eq!(cost(&nobodys), cost(&own));
        assert!(!nobodys.is_of("") && !nobodys.is_of("correct horse"));
    }

    #[test]
    fn only_the_password_itself_is_let_in() {
        let kept = PasswordHash::of("correct horse", [7; 16]).unwrap();
        assert!(kept.is_of("correct horse"));
        assert!(!kept.is_of("correct horse "));
        assert!(!kept.is_of(""));
        let other = PasswordHash::of("correct horse", [8; 16]).unwrap();
        assert_ne!(kept.hash, other.hash);
    }
}
