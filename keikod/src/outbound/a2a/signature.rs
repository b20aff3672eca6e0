//! Who vouches for a card: JWS over its canonical form, judged by configured keys alone.

use crate::outbound::canonical::canonical;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::Value;

/// Signatures of one card that are looked at.
const SIGNATURES_MAX: usize = 8;

/// What the signatures of a card are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureState {
    /// There is none.
    None,
    /// There is one, and no configured key is its key.
    Unverified,
    /// A configured key vouches for the card.
    Verified {
        /// The key's name in keiko.toml.
        key: String,
    },
    /// A signature claims a configured key, and does not fit.
    Bad,
}

/// A key that this cluster trusts for cards.
#[derive(Clone)]
pub struct CardKey {
    name: String,
    key: DecodingKey,
    algorithm: Algorithm,
}

impl CardKey {
    /// `pem` is a public key: Ed25519 (EdDSA) or P-256 (ES256). `name` is what a signature's `kid`
    /// says, if it says one.
    pub fn from_pem(name: impl Into<String>, pem: &[u8]) -> Result<Self> {
        let name = name.into();
        let found = DecodingKey::from_ed_pem(pem)
            .map(|key| (key, Algorithm::EdDSA))
            .or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| (key, Algorithm::ES256)));
        match found {
            Ok((key, algorithm)) => Ok(Self { name, key, algorithm }),
            Err(error) => Err(Refusal::new(
                Code::ConfigInvalid,
                format!("the card key {name:?} is not a public key for EdDSA or ES256"),
            )
            .cause(error)),
        }
    }
}

/// Judges all signatures: one that is verified is enough, one that is bad is not outweighed.
pub(super) fn judge(card: &Value, keys: &[CardKey]) -> SignatureState {
    let signatures = match card.get("signatures") {
        Some(Value::Array(signatures)) if !signatures.is_empty() => signatures,
        _ => return SignatureState::None,
    };
    let payloads = payloads(card);
    let mut state = SignatureState::Unverified;
    for signature in signatures.iter().take(SIGNATURES_MAX) {
        match judge_one(signature, &payloads, keys) {
            SignatureState::Bad => return SignatureState::Bad,
            verified @ SignatureState::Verified { .. } => state = verified,
            SignatureState::None | SignatureState::Unverified => {}
        }
    }
    state
}

fn judge_one(signature: &Value, payloads: &[String; 2], keys: &[CardKey]) -> SignatureState {
    let text = |field: &str| signature.get(field).and_then(Value::as_str);
    let (Some(protected), Some(value)) = (text("protected"), text("signature")) else {
        return SignatureState::Unverified;
    };
    let header: Option<Value> = URL_SAFE_NO_PAD
        .decode(protected)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(header) = header else { return SignatureState::Unverified };
    let said = |field: &str| header.get(field).and_then(Value::as_str);
    let algorithm = match said("alg") {
        Some("EdDSA" | "Ed25519") => Algorithm::EdDSA,
        Some("ES256") => Algorithm::ES256,
        _ => return SignatureState::Unverified,
    };
    // Extensions that must be understood and are not.
    if header.get("crit").is_some() {
        return SignatureState::Unverified;
    }
    let kid = said("kid");
    let claimed = keys.iter().filter(|key| kid.is_none_or(|kid| kid == key.name));
    for key in claimed.filter(|key| key.algorithm == algorithm) {
        let fits = payloads.iter().any(|payload| {
            let message = format!("{protected}.{payload}");
            jsonwebtoken::crypto::verify(value, message.as_bytes(), &key.key, algorithm)
                .unwrap_or(false)
        });
        if fits {
            return SignatureState::Verified { key: key.name.clone() };
        }
    }
    match kid {
        Some(kid) if keys.iter().any(|key| key.name == kid) => SignatureState::Bad,
        _ => SignatureState::Unverified,
    }
}

/// What may have been signed: the card as it came, and without empty values, since signers leave
/// out what protobuf calls a default.
fn payloads(card: &Value) -> [String; 2] {
    let mut bare = card.clone();
    if let Value::Object(map) = &mut bare {
        map.shift_remove("signatures");
    }
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(canonical(value));
    let as_is = encode(&bare);
    let lean = without_empty(bare).map_or_else(String::new, |value| encode(&value));
    [as_is, lean]
}

fn without_empty(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) => {
            let kept: serde_json::Map<_, _> = map
                .into_iter()
                .filter_map(|(key, item)| Some((key, without_empty(item)?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept: Vec<_> = items.into_iter().filter_map(without_empty).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::String(text) if text.is_empty() => None,
        Value::Null => None,
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    };
    use serde_json::json;

    /// Wraps a raw public key into the PEM of a SubjectPublicKeyInfo.
    fn pem(prefix: &[u8], key: &[u8]) -> Vec<u8> {
        let der = [prefix, key].concat();
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n").into_bytes()
    }

    const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

    const P256: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 3, 1, 7, 3, 0x42, 0,
    ];

    fn sign(card: &Value, header: Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> Value {
        let protected = URL_SAFE_NO_PAD.encode(header.to_string());
        let message = format!("{protected}.{}", URL_SAFE_NO_PAD.encode(canonical(card)));
        json!({"protected": protected, "signature": URL_SAFE_NO_PAD.encode(sign(message.as_bytes()))})
    }

    fn with(card: &Value, signature: Value) -> Value {
        let mut signed = card.clone();
        signed["signatures"] = json!([signature]);
        signed
    }

    #[test]
    fn only_configured_keys_count() {
        let ed = Ed25519KeyPair::generate().unwrap();
        let other = Ed25519KeyPair::generate().unwrap();
        let keys = [CardKey::from_pem("ops", &pem(&ED25519, ed.public_key().as_ref())).unwrap()];
        let card = json!({"name": "a", "version": "1", "skills": [], "supportedInterfaces": []});
        let by = |key: &Ed25519KeyPair, header| {
            with(&card, sign(&card, header, |m| key.sign(m).as_ref().to_vec()))
        };
        let verified = SignatureState::Verified { key: "ops".to_owned() };
        let good = by(&ed, json!({"alg": "EdDSA", "kid": "ops"}));
        let mut changed = good.clone();
        changed["name"] = json!("b");
        for (card, keys, expect) in [
            (card.clone(), &keys[..], SignatureState::None),
            (good.clone(), &keys[..], verified.clone()),
            (good, &[], SignatureState::Unverified),
            (by(&ed, json!({"alg": "EdDSA"})), &keys[..], verified),
            (
                by(&other, json!({"alg": "EdDSA", "kid": "theirs"})),
                &keys[..],
                SignatureState::Unverified,
            ),
            (by(&other, json!({"alg": "EdDSA", "kid": "ops"})), &keys[..], SignatureState::Bad),
            (by(&ed, json!({"alg": "none", "kid": "ops"})), &keys[..], SignatureState::Unverified),
            (by(&ed, json!({"alg": "HS256", "kid": "ops"})), &keys[..], SignatureState::Unverified),
            (
                by(&ed, json!({"alg": "EdDSA", "kid": "ops", "crit": ["x"]})),
                &keys[..],
                SignatureState::Unverified,
            ),
            (changed, &keys[..], SignatureState::Bad),
            (json!({"signatures": [{}]}), &keys[..], SignatureState::Unverified),
        ] {
            assert_eq!(judge(&card, keys), expect, "{card}");
        }
    }

    #[test]
    fn es256_and_cards_without_empty_values() {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
        let keys = [CardKey::from_pem("k", &pem(&P256, key.public_key().as_ref())).unwrap()];
        let lean = json!({"name": "a", "n": 1.0, "b": false});
        let signature = sign(&lean, json!({"alg": "ES256", "kid": "k"}), |m| {
            key.sign(&random, m).unwrap().as_ref().to_vec()
        });
        let card = json!({"b": false, "n": 1, "name": "a", "skills": [], "documentationUrl": ""});
        assert_eq!(
            judge(&with(&card, signature), &keys),
            SignatureState::Verified { key: "k".to_owned() }
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let refused = CardKey::from_pem("k", b"nonsense").err().map(|refusal| refusal.code);
        assert_eq!(refused, Some(Code::ConfigInvalid));
    }
}
