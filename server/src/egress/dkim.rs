//! DKIM (RFC 6376; Ed25519 by RFC 8463): a letter says by itself that it is from us.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::Message;
use lettre::message::dkim::{
    DkimCanonicalization, DkimCanonicalizationType, DkimConfig, DkimSigningAlgorithm, DkimSigningKey,
};
use lettre::message::header::HeaderName;
use ring::signature::{Ed25519KeyPair, KeyPair, RsaKeyPair};
use zeroize::Zeroizing;

/// What is signed. `From` twice: then none can be added (RFC 6376, section 8.15). `Content-Type` is left out: of a letter of
/// several parts the mail library has it in the body, and a signature over it does not verify. The two of RFC 8058 are in.
const SIGNED: [&str; 15] = [
    "From",
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Auto-Submitted",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Feedback-ID",
];

/// A key letters are signed with.
#[derive(Debug, Clone)]
pub struct Key {
    /// `SELECTOR._domainkey.DOMAIN` is where the public half is published.
    pub selector: String,
    /// The domain that signs: that of the sender.
    pub domain: String,
    /// The TXT record to publish.
    pub record: String,
    algorithm: DkimSigningAlgorithm,
    secret: sonnette_core::secret::Secret,
}

impl Key {
    /// Reads a private key in PEM: RSA (PKCS#1 or PKCS#8) of 2,048 bits at least, or Ed25519 (PKCS#8).
    ///
    /// # Errors
    /// In words, without anything of the key.
    pub fn read(selector: &str, domain: &str, file: &Path) -> Result<Self, String> {
        let label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        };
        if !label(selector) || selector.len() > 63 {
            return Err("a selector has 1 to 63 letters, digits, `-` and `.`".to_owned());
        }
        let text = std::fs::read_to_string(file)
            .map(Zeroizing::new)
            .map_err(|error| format!("cannot be read: {error}"))?;
        let (kind, der) = pem(&text).ok_or("is no private key in PEM")?;
        let key = |algorithm, secret: String, record: String| Self {
            selector: selector.to_owned(),
            domain: domain.to_owned(),
            record,
            algorithm,
            secret: sonnette_core::secret::Secret::new(secret),
        };
        if kind == "PRIVATE KEY" && der.len() == ED25519.len() + 32 && der.starts_with(&ED25519) {
            let seed = &der[ED25519.len()..];
            let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| "is no Ed25519 key")?;
            let public = STANDARD.encode(pair.public_key());
            return Ok(key(
                DkimSigningAlgorithm::Ed25519,
                STANDARD.encode(seed),
                format!("v=DKIM1; k=ed25519; p={public}"),
            ));
        }
        let pkcs1 = match kind {
            "RSA PRIVATE KEY" => der.as_slice(),
            "PRIVATE KEY" => inner(&der).ok_or("is neither an RSA nor an Ed25519 key")?,
            _ => return Err("is neither an RSA nor an Ed25519 private key".to_owned()),
        };
        let pair = RsaKeyPair::from_der(pkcs1)
            .map_err(|error| format!("is no RSA key of 2048 to 8192 bits: {error}"))?;
        let public = STANDARD.encode(public_info(pair.public_key().as_ref()));
        let body = STANDARD.encode(pkcs1);
        let secret =
            format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", wrapped(&body));
        Ok(key(DkimSigningAlgorithm::Rsa, secret, format!("v=DKIM1; k=rsa; p={public}")))
    }

    /// Signs with it.
    ///
    /// # Errors
    /// If the mail library does not take the key after all.
    pub fn signer(&self) -> Result<Signer, String> {
        let key =
            DkimSigningKey::new(self.secret.expose(), self.algorithm).map_err(|error| error.to_string())?;
        let headers = SIGNED.iter().map(|name| HeaderName::new_from_ascii_str(name)).collect();
        let relaxed = DkimCanonicalization {
            header: DkimCanonicalizationType::Relaxed,
            body: DkimCanonicalizationType::Relaxed,
        };
        Ok(Signer(DkimConfig::new(self.selector.clone(), self.domain.clone(), key, headers, relaxed)))
    }
}

/// A key ready to sign.
#[derive(Debug)]
pub struct Signer(DkimConfig);

impl Signer {
    /// The letter's bytes with a signature of each signer before them.
    pub fn seal(signers: &[Self], message: &Message) -> Vec<u8> {
        let mut sealed = Vec::new();
        for Self(config) in signers {
            // The library keeps one signature a letter; none signs another, so each is made by itself.
            let mut signed = message.clone();
            signed.sign(config);
            if let Some(signature) = signed.headers().get_raw("DKIM-Signature") {
                sealed.extend_from_slice(format!("DKIM-Signature: {signature}\r\n").as_bytes());
            }
        }
        sealed.extend_from_slice(&message.formatted());
        sealed
    }
}

/// What a PKCS#8 Ed25519 key begins with, before its 32 bytes (RFC 8410, section 7).
const ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The first block of a PEM file (RFC 7468): its label and bytes.
fn pem(text: &str) -> Option<(&str, Zeroizing<Vec<u8>>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    Some((label, Zeroizing::new(STANDARD.decode(body.as_bytes()).ok()?)))
}

/// The value of a DER element of this tag at the beginning, and what follows it (X.690, section 8.1).
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match usize::from(first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long - 0x80).filter(|(bytes, _)| bytes.len() <= 4)?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// The RSA key inside PKCS#8 (RFC 5958, section 2): version, algorithm, and then an octet string.
fn inner(der: &[u8]) -> Option<&[u8]> {
    let (sequence, _) = element(0x30, der)?;
    let (_, rest) = element(0x02, sequence)?;
    let (_, rest) = element(0x30, rest)?;
    element(0x04, rest).map(|(key, _)| key)
}

/// An RSA public key as `SubjectPublicKeyInfo` (RFC 3279, section 2.3.1), which is what records hold.
fn public_info(pkcs1: &[u8]) -> Vec<u8> {
    /// `rsaEncryption` with its NULL.
    const RSA: [u8; 15] =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let wrap = |tag: u8, content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut out = vec![tag];
        match content.len() {
            0..0x80 => out.push(length[3]),
            0x80..0x100 => out.extend_from_slice(&[0x81, length[3]]),
            _ => out.extend_from_slice(&[0x82, length[2], length[3]]),
        }
        out.extend_from_slice(content);
        out
    };
    let bits = wrap(0x03, &[&[0], pkcs1].concat());
    wrap(0x30, &[&RSA, bits.as_slice()].concat())
}

/// Lines of 64 characters, as PEM wants them.
fn wrapped(text: &str) -> String {
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A key of openssl's, in a file.
    fn made(dir: &Path, name: &str, arguments: &[&str]) -> std::path::PathBuf {
        let file = dir.join(name);
        let made = Command::new("openssl").args(arguments).arg("-out").arg(&file).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        file
    }

    /// Its public half as openssl writes it.
    fn public(file: &Path) -> Vec<u8> {
        let made = Command::new("openssl")
            .args(["pkey", "-pubout", "-outform", "DER", "-in"])
            .arg(file)
            .output()
            .unwrap();
        made.stdout
    }

    #[test]
    fn keys_of_every_kind_are_read_and_their_records_hold_the_public_half() {
        let dir = tempfile::tempdir().unwrap();
        let rsa = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
        let pkcs8 = made(dir.path(), "rsa.pem", &rsa);
        let pkcs1 = dir.path().join("rsa1.pem");
        let converted = Command::new("openssl")
            .args(["rsa", "-traditional", "-in"])
            .arg(&pkcs8)
            .arg("-out")
            .arg(&pkcs1)
            .output();
        assert!(converted.unwrap().status.success());
        for file in [&pkcs8, &pkcs1] {
            let key = Key::read("s1", "paas.example", file).unwrap();
            assert_eq!(key.record, format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(public(file))));
            key.signer().unwrap();
        }
        let ed = made(dir.path(), "ed.pem", &["genpkey", "-algorithm", "ED25519"]);
        let key = Key::read("s2", "paas.example", &ed).unwrap();
        // RFC 8463, section 4: the 32 bytes alone, without what openssl puts before them.
        assert_eq!(key.record, format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(&public(&ed)[12..])));
        key.signer().unwrap();
        assert!(
            !format!("{key:?}")
                .contains(&STANDARD.encode(&pem(&std::fs::read_to_string(&ed).unwrap()).unwrap().1[16..]))
        );
    }

    #[test]
    fn what_is_no_key_is_said_to_be_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        let ec = made(
            dir.path(),
            "ec.pem",
            &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        );
        assert!(Key::read("s1", "a.example", &ec).is_err());
        for text in [
            "",
            "-----BEGIN PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
        ] {
            std::fs::write(&file, text).unwrap();
            assert!(Key::read("s1", "a.example", &file).is_err(), "{text}");
        }
        assert!(Key::read("s 1", "a.example", &file).unwrap_err().contains("selector"));
        assert!(Key::read("s1", "a.example", &dir.path().join("none")).is_err());
    }
}
