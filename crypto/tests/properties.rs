//! Properties that hold for all inputs: what was sealed opens, and nothing else does.

use comity_crypto::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const TAG: &str = "comity/v1/test";
const OTHER_TAG: &str = "comity/v1/other";

/// Bodies and values: also empty ones, and longer than one block of AES.
fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

/// Flips the bit of `bytes` that `at` chooses.
fn flip(bytes: &mut [u8], at: Index) {
    let bit = at.index(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
}

fn flipped<const N: usize>(bytes: &[u8; N], at: Index) -> [u8; N] {
    let mut bytes = *bytes;
    flip(&mut bytes, at);
    bytes
}

proptest! {
    #[test]
    fn hash_depends_on_where_parts_end(bytes in vec(any::<u8>(), 1..50), a: Index, b: Index) {
        let (a, b) = (a.index(bytes.len() + 1), b.index(bytes.len() + 1));
        let split_at = |at| hash(TAG, &[&bytes[..at], &bytes[at..]]);
        prop_assert_eq!(split_at(a) == split_at(b), a == b);
        prop_assert_ne!(split_at(a), hash(TAG, &[&bytes]));
        prop_assert_ne!(hash(OTHER_TAG, &[&bytes]), hash(TAG, &[&bytes]));
    }

    #[test]
    fn derived_key_depends_on_every_input(secret: [u8; 32], part in some_bytes(), at: Index) {
        let key = derive(&secret, TAG, &[&part]);
        prop_assert_ne!(&key, &derive(&flipped(&secret, at), TAG, &[&part]));
        prop_assert_ne!(&key, &derive(&secret, OTHER_TAG, &[&part]));
        prop_assert_ne!(&key, &derive(&secret, TAG, &[&part, b""]));
    }

    #[test]
    fn signature_holds_for_its_key_tag_and_digest_only(
        seed: [u8; 32], digest: [u8; 32], at: Index,
    ) {
        let key = SigningKey::from_seed(&seed);
        let public = PublicKey::register(&key.public().to_bytes());
        prop_assert_eq!(public, Ok(key.public()));
        let public = key.public();
        let signature = key.sign(TAG, &digest);
        prop_assert_eq!(public.verify(TAG, &digest, &signature), Ok(()));

        let refused = Err(SignatureError);
        let other = SigningKey::from_seed(&flipped(&seed, at)).public();
        prop_assert_eq!(other.verify(TAG, &digest, &signature), refused);
        prop_assert_eq!(public.verify(OTHER_TAG, &digest, &signature), refused);
        prop_assert_eq!(public.verify(TAG, &flipped(&digest, at), &signature), refused);
        prop_assert_eq!(public.verify(TAG, &digest, &flipped(&signature, at)), refused);
    }

    #[test]
    fn registered_key_keeps_its_bytes(bytes: [u8; 32]) {
        if let Ok(key) = PublicKey::register(&bytes) {
            prop_assert_eq!(key.to_bytes(), bytes);
        }
    }

    #[test]
    fn public_keys_are_ordered_by_their_bytes(a: [u8; 32], b: [u8; 32]) {
        let [a, b] = [a, b].map(|seed| SigningKey::from_seed(&seed).public());
        prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        prop_assert_eq!(a == b, a.to_bytes() == b.to_bytes());
    }

    #[test]
    fn body_opens_to_what_was_sealed(sealing in sealing()) {
        prop_assert_eq!(sealing.open(), Ok(OpenedBody {
            salt: sealing.salt,
            body: sealing.body.clone(),
        }));
    }

    #[test]
    fn body_with_a_flipped_bit_is_refused(mut sealing in sealing(), at: Index) {
        flip(&mut sealing.sealed, at);
        prop_assert_eq!(sealing.open(), Err(OpenError::Authentication));
    }

    #[test]
    fn body_cut_short_is_refused(mut sealing in sealing(), at: Index) {
        sealing.sealed.truncate(at.index(sealing.sealed.len()));
        prop_assert!(sealing.open().is_err());
    }

    #[test]
    fn body_under_another_secret_is_refused(mut sealing in sealing(), at: Index) {
        sealing.secret = flipped(&sealing.secret, at);
        prop_assert_eq!(sealing.open(), Err(OpenError::Authentication));
    }

    #[test]
    fn body_at_another_position_is_refused(sealing in sealing(), at: Index) {
        let (mut lane, mut writer, mut seq) =
            (sealing.clone(), sealing.clone(), sealing.clone());
        lane.lane = flipped(&lane.lane, at);
        writer.writer = flipped(&writer.writer, at);
        seq.seq ^= 1 << at.index(64);
        for moved in [lane, writer, seq] {
            prop_assert_eq!(moved.open(), Err(OpenError::Authentication));
        }
    }

    #[test]
    fn body_with_other_associated_data_is_refused(mut sealing in sealing(), at: Index) {
        sealing.aad.push(0);
        prop_assert_eq!(sealing.open(), Err(OpenError::Authentication));
        flip(&mut sealing.aad, at);
        prop_assert_eq!(sealing.open(), Err(OpenError::Authentication));
    }

    /// Its first twelve bytes are the nonce; the others are checked against the plaintext.
    #[test]
    fn body_with_another_commitment_is_refused(mut sealing in sealing(), at: Index) {
        sealing.commitment = flipped(&sealing.commitment, at);
        let error = match at.index(32 * 8) / 8 {
            0..12 => OpenError::Authentication,
            _ => OpenError::Commitment,
        };
        prop_assert_eq!(sealing.open(), Err(error));
    }

    #[test]
    fn chunk_opens_in_its_place_only(
        key: [u8; 32],
        index in 0u64..1024,
        chunks in 1u64..1025,
        size: u64,
        chunk in some_bytes(),
        at: Index,
    ) {
        let place = ChunkPlace { index, chunks, size };
        let mut sealed = chunk.clone();
        seal_chunk(&key, &place, &mut sealed);
        let open = |key: &[u8; 32], place: ChunkPlace, sealed: &[u8]| {
            let mut opened = sealed.to_vec();
            open_chunk(key, &place, &mut opened).map(|()| opened)
        };
        prop_assert_eq!(open(&key, place, &sealed), Ok(chunk));

        let refused = Err(OpenError::Authentication);
        prop_assert_eq!(open(&flipped(&key, at), place, &sealed), refused.clone());
        let bit = 1 << at.index(64);
        let elsewhere = [
            ChunkPlace { index: index ^ bit, ..place },
            ChunkPlace { chunks: chunks ^ bit, ..place },
            ChunkPlace { size: size ^ bit, ..place },
        ];
        for other in elsewhere {
            prop_assert_eq!(open(&key, other, &sealed), refused.clone());
        }
        prop_assert!(open(&key, place, &sealed[..at.index(sealed.len())]).is_err());
        let hash = chunk_hash(&sealed);
        flip(&mut sealed, at);
        prop_assert_eq!(open(&key, place, &sealed), refused);
        prop_assert_ne!(chunk_hash(&sealed), hash);
    }

    #[test]
    fn stored_value_opens_in_its_place_only(
        key: [u8; 32],
        table in "[a-z]{1,8}",
        place in vec(any::<u8>(), 1..20),
        value in some_bytes(),
        randomness: [u8; 32],
        at: Index,
    ) {
        let storage = StorageKey::from_bytes(key);
        let sealed = storage.seal(&table, &place, &value, &randomness);
        prop_assert_eq!(storage.open(&table, &place, &sealed), Ok(value));

        let refused = Err(OpenError::Authentication);
        let other = StorageKey::from_bytes(flipped(&key, at));
        prop_assert_eq!(other.open(&table, &place, &sealed), refused.clone());
        let mut elsewhere = place.clone();
        flip(&mut elsewhere, at);
        prop_assert_eq!(storage.open(&table, &elsewhere, &sealed), refused.clone());
        prop_assert_eq!(storage.open(&format!("{table}x"), &place, &sealed), refused);
    }

    #[test]
    fn table_and_key_do_not_run_together(key: [u8; 32], name in "[a-z]{2,8}", at: Index) {
        let storage = StorageKey::from_bytes(key);
        let at = 1 + at.index(name.len() - 1);
        let sealed = storage.seal(&name, b"", b"value", &[7; 32]);
        let moved = storage.open(&name[..at], &name.as_bytes()[at..], &sealed);
        prop_assert_eq!(moved, Err(OpenError::Authentication));
    }

    #[test]
    fn altered_stored_value_is_refused(value in some_bytes(), at: Index) {
        let storage = StorageKey::from_bytes([1; 32]);
        let sealed = storage.seal("table", b"key", &value, &[7; 32]);
        let mut altered = sealed.clone();
        flip(&mut altered, at);
        prop_assert!(storage.open("table", b"key", &altered).is_err());
        let short = &sealed[..at.index(sealed.len())];
        prop_assert!(storage.open("table", b"key", short).is_err());
    }

    #[test]
    fn garbage_never_opens(garbage in vec(any::<u8>(), 0..2000)) {
        let secret = EpochSecret::from_bytes([1; 32]);
        let position = Position { lane: &[2; 32], writer: &[3; 32], seq: 4 };
        prop_assert!(open_body(&secret, &position, &[5; 32], b"", &garbage).is_err());
        let storage = StorageKey::from_bytes([6; 32]);
        prop_assert!(storage.open("table", b"key", &garbage).is_err());
    }
}

// Each case costs several encapsulations.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn wrap_opens_for_its_key_and_info_only(
        seed: [u8; 32], secret: [u8; 32], info in some_bytes(), randomness: [[u8; 32]; 2], at: Index,
    ) {
        let key = SealingKey::from_seed(&seed);
        let public = SealingPublicKey::from_bytes(key.public().as_bytes());
        prop_assert_eq!(public, Ok(key.public()));
        let wrap = wrap(&key, &info, secret, randomness);
        prop_assert_eq!(unwrap(&key, &info, &wrap), Ok(secret));

        let other = SealingKey::from_seed(&flipped(&seed, at));
        prop_assert_eq!(unwrap(&other, &info, &wrap), Err(UnwrapError::Refused));
        let longer = [info.as_slice(), b"x"].concat();
        prop_assert_eq!(unwrap(&key, &longer, &wrap), Err(UnwrapError::Refused));
    }

    #[test]
    fn altered_wrap_is_refused(seed: [u8; 32], at: Index) {
        let key = SealingKey::from_seed(&seed);
        let mut wrap = wrap(&key, b"info", [1; 32], [[2; 32], [3; 32]]);
        // X25519 ignores the top bit of a public value, but X-Wing hashes all of them.
        flip(&mut wrap, at);
        prop_assert_eq!(unwrap(&key, b"info", &wrap), Err(UnwrapError::Refused));
    }

    #[test]
    fn garbage_never_unwraps(seed: [u8; 32], mut garbage in vec(any::<u8>(), WRAP_LEN), at: Index) {
        let key = SealingKey::from_seed(&seed);
        prop_assert_eq!(unwrap(&key, b"info", &garbage), Err(UnwrapError::Refused));
        garbage.truncate(at.index(WRAP_LEN));
        let length = Err(UnwrapError::Length { actual: garbage.len() });
        prop_assert_eq!(unwrap(&key, b"info", &garbage), length);
    }

    /// About half of the bits leave a key, though nobody holds its private key.
    #[test]
    fn altered_sealing_key_is_refused_or_usable(seed: [u8; 32], at: Index) {
        let key = SealingKey::from_seed(&seed).public();
        let mut bytes = key.as_bytes().to_vec();
        flip(&mut bytes, at);
        match SealingPublicKey::from_bytes(&bytes) {
            Ok(altered) => {
                prop_assert_ne!(altered.id(), key.id());
                let secret = EpochSecret::from_bytes([1; 32]);
                prop_assert!(altered.wrap_secret(b"", &secret, &[2; 64]).is_ok());
            }
            Err(error) => prop_assert_eq!(error, KeyError::Invalid),
        }
    }

    #[test]
    fn sealing_key_of_another_length_is_refused(bytes in vec(any::<u8>(), 0..1300)) {
        let expected = SEALING_PUBLIC_LEN;
        let error = match bytes.len() {
            SEALING_PUBLIC_LEN => KeyError::Invalid,
            actual => KeyError::Length { expected, actual },
        };
        prop_assert_eq!(SealingPublicKey::from_bytes(&bytes), Err(error));
    }
}

#[test]
fn wrap_longer_than_it_should_be_is_refused() {
    let key = SealingKey::from_seed(&[1; 32]);
    let mut wrap = wrap(&key, b"info", [1; 32], [[2; 32], [3; 32]]);
    wrap.push(0);
    let length = UnwrapError::Length {
        actual: WRAP_LEN + 1,
    };
    assert_eq!(unwrap(&key, b"info", &wrap), Err(length));
}

#[test]
fn stored_value_of_another_format_is_named() {
    let storage = StorageKey::from_bytes([1; 32]);
    let mut sealed = storage.seal("table", b"key", b"value", &[7; 32]);
    sealed[0] = 2;
    let result = storage.open("table", b"key", &sealed);
    assert_eq!(result, Err(OpenError::Version(2)));
}

#[test]
fn debug_shows_no_secret() {
    let secret = [0xab; 32];
    let opened = OpenedBody {
        salt: [0xab; 16],
        body: vec![0xab; 40],
    };
    let shown = [
        format!("{:?}", SigningKey::from_seed(&secret)),
        format!("{:?}", SealingKey::from_seed(&secret)),
        format!("{:?}", EpochSecret::from_bytes(secret)),
        format!("{:?}", StorageKey::from_bytes(secret)),
        format!("{opened:?}"),
    ];
    for text in shown {
        assert!(!text.contains("abab"), "{text}");
        assert!(!text.contains("171, 171"), "{text}");
    }
}

/// A body as it was sealed, and all that it is bound to.
#[derive(Debug, Clone)]
struct Sealing {
    secret: [u8; 32],
    lane: [u8; 32],
    writer: [u8; 32],
    seq: u64,
    commitment: [u8; 32],
    aad: Vec<u8>,
    salt: [u8; SALT_LEN],
    body: Vec<u8>,
    sealed: Vec<u8>,
}

impl Sealing {
    fn seal(&mut self) {
        self.commitment = plaintext_commitment(&self.salt, &self.body);
        let secret = EpochSecret::from_bytes(self.secret);
        self.sealed = seal_body(
            &secret,
            &self.position(),
            &self.commitment,
            &self.aad,
            &self.salt,
            &self.body,
        );
    }

    fn open(&self) -> Result<OpenedBody, OpenError> {
        let secret = EpochSecret::from_bytes(self.secret);
        open_body(
            &secret,
            &self.position(),
            &self.commitment,
            &self.aad,
            &self.sealed,
        )
    }

    fn position(&self) -> Position<'_> {
        Position {
            lane: &self.lane,
            writer: &self.writer,
            seq: self.seq,
        }
    }
}

prop_compose! {
    fn sealing()(
        secret: [u8; 32],
        lane: [u8; 32],
        writer: [u8; 32],
        seq: u64,
        aad in some_bytes(),
        salt: [u8; SALT_LEN],
        body in some_bytes(),
    ) -> Sealing {
        let (commitment, sealed) = ([0; 32], Vec::new());
        let mut sealing =
            Sealing { secret, lane, writer, seq, commitment, aad, salt, body, sealed };
        sealing.seal();
        sealing
    }
}

fn wrap(key: &SealingKey, info: &[u8], secret: [u8; 32], randomness: [[u8; 32]; 2]) -> Vec<u8> {
    let randomness = randomness.concat().try_into().expect("64 bytes");
    let secret = EpochSecret::from_bytes(secret);
    let wrap = key.public().wrap_secret(info, &secret, &randomness);
    wrap.expect("a sound key")
}

fn unwrap(key: &SealingKey, info: &[u8], wrap: &[u8]) -> Result<[u8; 32], UnwrapError> {
    key.unwrap_secret(info, wrap)
        .map(|secret| *secret.as_bytes())
}
