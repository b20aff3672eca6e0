//! The text of a token: `keiko.<id>.<secret>.<hash of the CA>`.
//!
//! Only the BLAKE3 of the secret is ever stored. The secret has 256 random bits, so a fast hash is
//! enough: there is nothing to guess. The text shows its secret to nobody but its maker's reply.

use super::{random, text};
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1 as wire;
use zeroize::Zeroizing;

/// Public half: 10 bytes are 16 characters of base32.
const ID_BYTES: usize = 10;
const ID_CHARACTERS: usize = 16;
/// Secret half: 32 bytes are 52 characters of base32.
const SECRET_BYTES: usize = 32;
const SECRET_CHARACTERS: usize = 52;
/// BLAKE3, hex.
const HASH_CHARACTERS: usize = 64;
/// The longest text that is looked at: `keiko` and three dots besides the three parts.
pub const TEXT_BYTES_MAX: usize = 5 + 3 + ID_CHARACTERS + SECRET_CHARACTERS + HASH_CHARACTERS;
/// How the stored hash is made; kept in [`wire::Token::hash_algorithm`].
pub const HASH_ALGORITHM: &str = "blake3";

/// A token as it is made.
pub struct NewToken {
    /// The public half: what the room keeps it under.
    pub id: String,
    /// What its bearer gets, this once.
    pub text: Zeroizing<String>,
    /// What the room keeps of the secret.
    pub hash: [u8; 32],
}

/// Makes a token of the cluster whose CA has this hash.
pub fn new_token(ca_hash: &str) -> Result<NewToken> {
    let id = text::base32(&random::bytes::<ID_BYTES>()?);
    let bytes = Zeroizing::new(random::bytes::<SECRET_BYTES>()?);
    let secret = Zeroizing::new(text::base32(bytes.as_slice()));
    let hash = *blake3::hash(secret.as_bytes()).as_bytes();
    let text = Zeroizing::new(format!("keiko.{id}.{}.{ca_hash}", secret.as_str()));
    Ok(NewToken { id, text, hash })
}

/// A token as it was presented: of the right shape, not yet proven.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Presented<'t> {
    /// Under which it may be known.
    pub id: &'t str,
    secret: &'t str,
    ca_hash: &'t str,
}

impl<'t> Presented<'t> {
    /// Splits a text; every part must have exactly its length and alphabet.
    pub fn parse(text: &'t str) -> Result<Self> {
        let shape = || {
            Refusal::new(Code::TokenInvalid, "this is not the text of a token").hint(
                "a token looks like keiko.ID.SECRET.HASH: keikoctl cluster token create makes one",
            )
        };
        if text.len() > TEXT_BYTES_MAX {
            return Err(shape());
        }
        let mut parts = text.split('.');
        let (Some("keiko"), Some(id), Some(secret), Some(ca_hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(shape());
        };
        let base32 = |text: &str| text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'2'..=b'7'));
        let fits = id.len() == ID_CHARACTERS
            && secret.len() == SECRET_CHARACTERS
            && base32(id)
            && base32(secret)
            && text::decode::<32>(ca_hash).is_some();
        if fits { Ok(Self { id, secret, ca_hash }) } else { Err(shape()) }
    }

    /// Of the CA that it was made under.
    pub fn ca_hash(&self) -> &'t str {
        self.ca_hash
    }

    /// Refuses a token that another cluster made, before anybody looks it up.
    pub fn of_cluster(&self, ca_hash: &str) -> Result<()> {
        if self.ca_hash == ca_hash {
            return Ok(());
        }
        Err(Refusal::new(Code::WrongCluster, "this token is of another cluster")
            .cause(format!("it was made under the CA {}, this is {ca_hash}", self.ca_hash))
            .hint("choose the context whose cluster made the token"))
    }

    /// What is stored, if the secret is the one that it keeps the hash of; in constant time.
    ///
    /// Unknown and wrong look the same from outside.
    pub fn prove<'s>(&self, stored: Option<&'s wire::Token>) -> Result<&'s wire::Token> {
        let given = blake3::hash(self.secret.as_bytes());
        // A stand-in keeps the time of an unknown id the time of a known one.
        let kept = stored
            .filter(|token| token.hash_algorithm == HASH_ALGORITHM)
            .and_then(|token| <[u8; 32]>::try_from(token.hash.as_slice()).ok())
            .unwrap_or([0; 32]);
        // `blake3::Hash` compares in constant time.
        let right = given == blake3::Hash::from_bytes(kept);
        stored.filter(|_| right).ok_or_else(invalid)
    }
}

/// Refuses a token that was proven and no longer counts. Only its bearer hears why. `trades` is
/// true of a call that trades it: who lost the answer asks again, and the law knows them.
pub(super) fn check(token: &wire::Token, now_ms: u64, trades: bool) -> Result<()> {
    if token.used_ms != 0 {
        if trades {
            return Ok(());
        }
        return Err(Refusal::new(
            Code::TokenUsed,
            format!("the token {} was traded already", token.id),
        )
        .cause(format!("for {}", token.used_for))
        .hint("use what it was traded for; to make a new one: keikoctl cluster token create")
        .hint("if nobody you know traded it, revoke that: keikoctl event tail shows when"));
    }
    if now_ms < token.expires_ms {
        return Ok(());
    }
    Err(Refusal::new(Code::TokenExpired, format!("the token {} expired", token.id))
        .cause(format!("{} s ago", (now_ms - token.expires_ms) / 1000))
        .hint("make a new one: keikoctl cluster token create, or keikoctl agent token NAME"))
}

/// Of a token that was made under a CA that counts no more.
pub(super) fn of_former(id: &str) -> Refusal {
    let message = format!("the token {id} was made under a CA that counts no more");
    Refusal::new(Code::AuthorityChanged, message)
        .cause("the cluster's CA was changed since, and the overlap is over")
        .hint("make a new one: keikoctl cluster token create, or keikoctl agent token NAME")
}

/// The one answer to every token that nobody here knows.
pub(super) fn invalid() -> Refusal {
    Refusal::new(Code::TokenInvalid, "the token is unknown or revoked")
        .hint("make a new one: keikoctl cluster token create, or keikoctl agent token NAME")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(token: &NewToken, expires_ms: u64) -> wire::Token {
        wire::Token {
            id: token.id.clone(),
            hash_algorithm: HASH_ALGORITHM.into(),
            hash: token.hash.to_vec(),
            role: "agent".into(),
            scope: "agent/default/hello".into(),
            expires_ms,
            ..Default::default()
        }
    }

    #[test]
    fn there_and_back() {
        let ca = "ab".repeat(32);
        let token = new_token(&ca).unwrap();
        assert_eq!(token.text.len(), TEXT_BYTES_MAX);
        let presented = Presented::parse(&token.text).unwrap();
        assert_eq!(presented.id, token.id);
        presented.of_cluster(&ca).unwrap();
        let kept = stored(&token, 10);
        check(presented.prove(Some(&kept)).unwrap(), 9, false).unwrap();
        assert_ne!(new_token(&ca).unwrap().text, token.text);
    }

    #[test]
    fn what_does_not_prove() {
        let ca = "ab".repeat(32);
        let (token, other) = (new_token(&ca).unwrap(), new_token(&ca).unwrap());
        let presented = Presented::parse(&token.text).unwrap();
        let good = stored(&token, 10);
        let check = |stored: Option<wire::Token>| {
            let refusal = presented.prove(stored.as_ref()).unwrap_err();
            assert_eq!(refusal.code, Code::TokenInvalid);
        };
        check(None);
        check(Some(stored(&other, 10)));
        // Of what is over, only its bearer hears: to others it is unknown.
        check(Some(stored(&other, 1)));
        check(Some(wire::Token { used_ms: 1, ..stored(&other, 10) }));
        check(Some(wire::Token { hash: vec![], ..good.clone() }));
        check(Some(wire::Token { hash_algorithm: "md5".into(), ..good }));
        assert_eq!(presented.of_cluster(&"cd".repeat(32)).unwrap_err().code, Code::WrongCluster);
    }

    #[test]
    fn what_no_longer_counts() {
        let token = new_token(&"ab".repeat(32)).unwrap();
        let good = wire::Token { one_use: true, ..stored(&token, 10) };
        let used = wire::Token { used_ms: 5, used_for: "node/n4".into(), ..good.clone() };
        for (token, now_ms, trades, expect) in [
            (&good, 9, false, None),
            (&good, 9, true, None),
            (&good, 10, false, Some(Code::TokenExpired)),
            (&good, 10, true, Some(Code::TokenExpired)),
            (&used, 9, false, Some(Code::TokenUsed)),
            (&used, 9, true, None),
            (&used, 11, true, None),
        ] {
            let got = check(token, now_ms, trades).err().map(|refusal| refusal.code);
            assert_eq!(got, expect, "{now_ms} {trades} {token:?}");
        }
    }

    #[test]
    fn texts_of_the_wrong_shape() {
        let good = new_token(&"ab".repeat(32)).unwrap().text;
        let cases = [
            String::new(),
            "keiko".into(),
            "keiko...".into(),
            good.replace("keiko", "kEiko"),
            format!("{}x", good.as_str()),
            good[..good.len() - 1].to_owned(),
            good.to_uppercase(),
            good.replacen('.', "..", 1),
            "x".repeat(1 << 20),
        ];
        for text in cases {
            assert!(Presented::parse(&text).is_err(), "{text:.60}");
        }
    }
}
