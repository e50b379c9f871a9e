//! A certificate authority of the tests, and what it vouches for: 127.0.0.1.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

/// Files of certificates, in PEM.
pub(crate) struct Certificates {
    /// Key and certificate of a server at 127.0.0.1.
    pub(crate) server: PathBuf,
    /// Of the authority that vouches for the server.
    pub(crate) authority: PathBuf,
    /// Of another authority.
    pub(crate) stranger: PathBuf,
}

impl Certificates {
    pub(crate) fn make(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder for certificates");
        let [authority, stranger] = ["authority", "stranger"].map(|name| (key(), name));
        let [signed, other] = [&authority, &stranger].map(|(key, name)| certificate(key, name, key, name));
        let server_key = key();
        let server = certificate(&server_key, "127.0.0.1", &authority.0, authority.1);
        let write = |name: &str, parts: &[Vec<u8>]| {
            let path = folder.join(name);
            fs::write(&path, parts.concat()).expect("a file of certificates");
            path
        };
        let pem = |certificate: &X509| certificate.to_pem().expect("PEM");
        let server_key = server_key.private_key_to_pem_pkcs8().expect("PEM");
        Self {
            server: write("server.pem", &[server_key, pem(&server)]),
            authority: write("authority.pem", &[pem(&signed)]),
            stranger: write("stranger.pem", &[pem(&other)]),
        }
    }
}

fn key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a curve");
    PKey::from_ec_key(EcKey::generate(&curve).expect("a key")).expect("a key")
}

/// Of `subject` by `issuer`; where they are the same, an authority's own.
fn certificate(key: &PKey<Private>, subject: &str, issuer_key: &PKey<Private>, issuer: &str) -> X509 {
    let name = |text: &str| {
        let mut name = X509NameBuilder::new().expect("a name");
        name.append_entry_by_nid(Nid::COMMONNAME, text).expect("a name");
        name.build()
    };
    let make = || -> Result<X509, openssl::error::ErrorStack> {
        let mut builder: X509Builder = X509::builder()?;
        builder.set_version(2)?;
        let mut serial = BigNum::new()?;
        serial.pseudo_rand(64, openssl::bn::MsbOption::MAYBE_ZERO, false)?;
        let serial = serial.to_asn1_integer()?;
        builder.set_serial_number(&serial)?;
        builder.set_subject_name(&name(subject))?;
        builder.set_issuer_name(&name(issuer))?;
        builder.set_pubkey(key)?;
        let (from, to) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(2)?);
        builder.set_not_before(&from)?;
        builder.set_not_after(&to)?;
        if subject == issuer {
            builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
            builder.append_extension(KeyUsage::new().key_cert_sign().build()?)?;
        } else {
            let names =
                SubjectAlternativeName::new().ip(subject).build(&builder.x509v3_context(None, None))?;
            builder.append_extension(names)?;
        }
        builder.sign(issuer_key, MessageDigest::sha256())?;
        Ok(builder.build())
    };
    make().expect("a certificate")
}
