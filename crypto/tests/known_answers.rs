//! Known answers: published test vectors, and Comity's own compositions computed by other means.
//!
//! HKDF, AES-256-GCM and Ed25519 over free messages are not reachable from outside: their
//! published vectors are tested in the modules that use them.

mod vectors;

use comity_crypto::*;
use vectors::Vector;

fn comity() -> Vector {
    Vector::parse(include_str!("vectors/comity.json"))
}

fn ed25519_refused() -> Vector {
    Vector::parse(include_str!("vectors/ed25519-refused.json"))
}

#[test]
fn hash_encodes_tag_and_parts() {
    for case in comity().list("hash") {
        let parts = case.bytes_list("parts");
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        assert_eq!(hash(case.text("tag"), &parts), case.array("hash"));
    }
}

#[test]
fn derive_encodes_tag_and_parts() {
    let case = comity().object("derive");
    let parts = case.bytes_list("parts");
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let key = derive(&case.array("secret"), case.text("tag"), &parts);
    assert_eq!(*key, case.array("key"));
}

#[test]
fn ed25519_public_keys_of_rfc_8032() {
    let vectors = Vector::parse(include_str!("vectors/ed25519-rfc8032.json"));
    for case in vectors.list("cases") {
        let key = SigningKey::from_seed(&case.array("seed"));
        assert_eq!(key.public().to_bytes(), case.array("public"));
        assert_eq!(*key.seed(), case.array("seed"));
        assert_eq!(
            PublicKey::register(&case.array("public")),
            Ok(key.public()),
            "{}",
            case.text("name")
        );
    }
}

#[test]
fn signature_covers_tag_and_digest() {
    let case = comity().object("signature");
    let key = SigningKey::from_seed(&case.array("seed"));
    let (tag, digest) = (case.text("tag"), case.array("digest"));
    let signature = key.sign(tag, &digest);
    assert_eq!(signature, case.array("signature"));
    assert_eq!(key.public().verify(tag, &digest, &signature), Ok(()));
}

#[test]
fn dangerous_public_keys_are_refused() {
    for case in ed25519_refused().list("keys") {
        let error = match case.text("error") {
            "Invalid" => KeyError::Invalid,
            "NonCanonical" => KeyError::NonCanonical,
            "SmallOrder" => KeyError::SmallOrder,
            "MixedOrder" => KeyError::MixedOrder,
            other => panic!("unknown error {other}"),
        };
        let result = PublicKey::register(&case.array("key"));
        assert_eq!(result, Err(error), "{}", case.text("note"));
    }
}

#[test]
fn dangerous_signatures_are_refused() {
    let vectors = ed25519_refused().object("signatures");
    let key = PublicKey::register(&vectors.array("public")).unwrap();
    let (tag, digest) = (vectors.text("tag"), vectors.array("digest"));
    assert_eq!(key.verify(tag, &digest, &vectors.array("accepted")), Ok(()));
    for case in vectors.list("refused") {
        let result = key.verify(tag, &digest, &case.array("signature"));
        assert_eq!(result, Err(SignatureError), "{}", case.text("note"));
    }
}

#[test]
fn x_wing_keys_and_encapsulations() {
    let vectors = Vector::parse(include_str!("vectors/x-wing.json"));
    for case in vectors.list("cases") {
        let key = SealingKey::from_seed(&case.array("seed"));
        assert_eq!(key.public().as_bytes(), case.bytes("pk"));
        assert_eq!(*key.seed(), case.array("seed"));
        let wrap = wrap_zeros(&key.public(), b"info", &case.array("eseed"));
        assert_eq!(wrap[..1120], case.bytes("ct"));
        let (aead_key, nonce, _) = hpke_key_schedule(&SUITE, &case.bytes("ss"), b"info");
        assert_eq!(aes_256_gcm_open(&aead_key, &nonce, &wrap[1120..]), [0; 32]);
    }
}

/// The published vector has ChaCha20-Poly1305 where Comity has AES-256-GCM. The KEM is the same;
/// and the key schedule written out below gives the published key, so it can judge ours, which
/// differs in the number of the AEAD alone.
#[test]
fn hpke_with_x_wing() {
    let vectors = Vector::parse(include_str!("vectors/hpke-x-wing.json"));
    for case in vectors.list("cases") {
        let (info, shared_secret) = (case.bytes("info"), case.bytes("shared_secret"));
        let (key, nonce, _) = hpke_key_schedule(&case.array("suite_id"), &shared_secret, &info);
        assert_eq!(key, case.array("key"));
        assert_eq!(nonce, case.array("base_nonce"));

        let recipient = SealingKey::from_seed(&case.array("skRm"));
        assert_eq!(recipient.public().as_bytes(), case.bytes("pkRm"));
        let wrap = wrap_zeros(&recipient.public(), &info, &case.array("ikmE"));
        assert_eq!(wrap[..1120], case.bytes("enc"));
        let (key, nonce, _) = hpke_key_schedule(&SUITE, &shared_secret, &info);
        assert_eq!(aes_256_gcm_open(&key, &nonce, &wrap[1120..]), [0; 32]);
    }
}

#[test]
fn wrap_is_the_one_computed_elsewhere() {
    let case = comity().object("wrap");
    let key = SealingKey::from_seed(&case.array("seed"));
    let secret = EpochSecret::from_bytes(case.array("secret"));
    let info = case.bytes("info");
    let wrap = key
        .public()
        .wrap_secret(&info, &secret, &case.array("randomness"))
        .unwrap();
    assert_eq!(wrap, case.bytes("wrap"));
    assert_eq!(wrap.len(), WRAP_LEN);
    let opened = key.unwrap_secret(&info, &wrap).unwrap();
    assert_eq!(opened.as_bytes(), secret.as_bytes());
}

#[test]
fn ids_and_commitments_of_keys() {
    let case = comity().object("epoch");
    let secret = EpochSecret::from_bytes(case.array("secret"));
    assert_eq!(secret.commitment(), case.array("commitment"));
    let case = comity().object("sealing_key_id");
    let key = SealingPublicKey::from_bytes(&case.bytes("public")).unwrap();
    assert_eq!(key.id(), case.array("id"));
}

#[test]
fn a_sealing_key_with_a_coefficient_out_of_range_is_refused() {
    let case = comity().object("sealing_key_id");
    let mut bytes = case.bytes("public");
    // ML-KEM packs two coefficients of 12 bits into 3 bytes; 0xfff is above the modulus 3,329.
    bytes[..3].fill(0xff);
    let result = SealingPublicKey::from_bytes(&bytes);
    assert_eq!(result, Err(KeyError::Invalid));
}

#[test]
fn body_is_sealed_as_computed_elsewhere() {
    let case = comity().object("body");
    let secret = EpochSecret::from_bytes(case.array("secret"));
    let (lane, writer) = (case.array("lane"), case.array("writer"));
    let position = Position {
        lane: &lane,
        writer: &writer,
        seq: case.text("seq").parse().unwrap(),
    };
    let (salt, body, aad) = (case.array("salt"), case.bytes("body"), case.bytes("aad"));

    let commitment = plaintext_commitment(&salt, &body);
    assert_eq!(commitment, case.array("commitment"));
    let sealed = seal_body(&secret, &position, &commitment, &aad, &salt, &body);
    assert_eq!(sealed, case.bytes("sealed"));
    assert_eq!(sealed.len(), body.len() + SEAL_OVERHEAD);
    assert_eq!(body_hash(&sealed), case.array("body_hash"));
    let opened = open_body(&secret, &position, &commitment, &aad, &sealed);
    assert_eq!(opened, Ok(OpenedBody { salt, body }));
}

#[test]
fn chunk_is_sealed_as_computed_elsewhere() {
    let case = comity().object("chunk");
    let number = |name| case.text(name).parse().unwrap();
    let place = ChunkPlace {
        index: number("index"),
        chunks: number("chunks"),
        size: number("size"),
    };
    let (key, chunk) = (case.array("key"), case.bytes("chunk"));

    let mut sealed = chunk.clone();
    seal_chunk(&key, &place, &mut sealed);
    assert_eq!(sealed, case.bytes("sealed"));
    assert_eq!(sealed.len(), chunk.len() + CHUNK_OVERHEAD);
    assert_eq!(chunk_hash(&sealed), case.array("hash"));
    assert_eq!(open_chunk(&key, &place, &mut sealed), Ok(()));
    assert_eq!(sealed, chunk);
}

#[test]
fn value_is_stored_as_computed_elsewhere() {
    let case = comity().object("storage");
    let key = StorageKey::from_bytes(case.array("key"));
    assert_eq!(key.id(), case.array("id"));
    let (table, table_key) = (case.text("table"), case.bytes("table_key"));
    let value = case.bytes("value");
    let sealed = key.seal(table, &table_key, &value, &case.array("randomness"));
    assert_eq!(sealed, case.bytes("sealed"));
    assert_eq!(key.open(table, &table_key, &sealed), Ok(value));
}

#[test]
fn suites_have_fixed_numbers() {
    assert_eq!((Suite::Default.id(), Suite::Default.name()), (1, "default"));
    assert_eq!((Suite::Cnsa.id(), Suite::Cnsa.name()), (2, "cnsa"));
    assert!(Suite::Default.is_implemented() && !Suite::Cnsa.is_implemented());
    for id in 0..=u8::MAX {
        let suite = Suite::from_id(id);
        assert_eq!(suite.map(Suite::id), (1..=2).contains(&id).then_some(id));
    }
}

fn wrap_zeros(key: &SealingPublicKey, info: &[u8], randomness: &[u8; 64]) -> Vec<u8> {
    let secret = EpochSecret::from_bytes([0; 32]);
    key.wrap_secret(info, &secret, randomness).unwrap()
}

/// `"HPKE"`, then the numbers of X-Wing, HKDF-SHA256 and AES-256-GCM.
const SUITE: [u8; 10] = *b"HPKE\x64\x7a\x00\x01\x00\x02";

/// The key schedule of RFC 9180, section 5.1, in base mode with HKDF-SHA256, written out from the
/// text: key, base nonce, exporter secret.
fn hpke_key_schedule(
    suite: &[u8; 10],
    secret: &[u8],
    info: &[u8],
) -> ([u8; 32], [u8; 12], Vec<u8>) {
    let mut context = vec![0];
    context.extend(labeled_extract(suite, b"", b"psk_id_hash", b""));
    context.extend(labeled_extract(suite, b"", b"info_hash", info));
    let secret = labeled_extract(suite, secret, b"secret", b"");
    let expand = |label: &[u8], length| labeled_expand(suite, &secret, label, &context, length);
    let key = expand(b"key", 32).try_into().unwrap();
    let nonce = expand(b"base_nonce", 12).try_into().unwrap();
    (key, nonce, expand(b"exp", 32))
}

fn labeled_extract(suite: &[u8], salt: &[u8], label: &[u8], input: &[u8]) -> Vec<u8> {
    hmac_sha256(salt, &[b"HPKE-v1", suite, label, input].concat())
}

/// HKDF-Expand to at most one block.
fn labeled_expand(suite: &[u8], key: &[u8], label: &[u8], info: &[u8], length: u16) -> Vec<u8> {
    let length_bytes = length.to_be_bytes();
    let info = [
        &length_bytes,
        b"HPKE-v1".as_slice(),
        suite,
        label,
        info,
        &[1],
    ]
    .concat();
    let mut block = hmac_sha256(key, &info);
    block.truncate(length.into());
    block
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    use aws_lc_rs::hmac;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().to_vec()
}

fn aes_256_gcm_open(key: &[u8; 32], nonce: &[u8; 12], sealed: &[u8]) -> Vec<u8> {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let mut buffer = sealed.to_vec();
    let opened = key.open_in_place(nonce, Aad::empty(), &mut buffer);
    opened.expect("authentic").to_vec()
}
