//! The certificate that is served: from files, read again when they change, or made at the start and renewed before it ends.
//! Leaves out the clients' certificates: callers prove themselves with tokens.

use crate::problem::chain;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fs;
use std::io;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// As long as kube-scheduler's own.
const VALID: Duration = Duration::from_secs(365 * 24 * 3600);
/// Clocks differ: a certificate is valid from an hour ago.
const SKEW: Duration = Duration::from_secs(3600);
/// A certificate of our own is renewed so long before it ends.
const MARGIN: Duration = DAY.saturating_mul(30);
/// Files of a certificate of our own.
const CERT_FILE: &str = "ai-storage-scheduler.crt";
const KEY_FILE: &str = "ai-storage-scheduler.key";

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// `--tls-cert-file` and `--tls-private-key-file`, both PEM; read again when they change.
    Files {
        /// The certificate, its issuers after it.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// Made at the start.
    SelfSigned {
        /// `--cert-dir`: kept here as `ai-storage-scheduler.crt` and `.key`, and used again while it is valid; without one, in memory.
        dir: Option<PathBuf>,
    },
}

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} does not hold a {expected} in PEM", path.display())]
    Pem {
        /// File.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// Cause.
        source: pem::Error,
    },
    /// The two files do not belong together, or are of an unknown kind.
    #[error("the certificate in {} cannot be served with the key in {}", cert.display(), key.display())]
    Pair {
        /// File.
        cert: PathBuf,
        /// File.
        key: PathBuf,
        /// Cause.
        source: rustls::Error,
    },
    /// A certificate could not be made.
    #[error("a self-signed certificate cannot be made")]
    Make(#[source] rcgen::Error),
}

/// The certificate being served.
pub(crate) struct Certificate {
    source: CertificateSource,
    /// What it is to be valid for, when we make it.
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
}

struct Current {
    pair: Pair,
    served: Arc<CertifiedKey>,
}

/// A certificate and its key in PEM.
#[derive(PartialEq, Eq)]
struct Pair {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    /// Reads or makes it. `address` is what the server listens on.
    pub(crate) fn obtain(source: CertificateSource, address: IpAddr, provider: Arc<CryptoProvider>) -> Result<Self, CertificateError> {
        let names = names(address);
        let (pair, served) = load(&source, &names, &provider)?;
        Ok(Self { source, names, provider, current: RwLock::new(Current { pair, served: Arc::new(served) }) })
    }

    /// Reads changed files, or renews what is about to end; whether there is a new certificate. On an error the old one stays.
    pub(crate) fn refresh(&self) -> Result<bool, CertificateError> {
        if matches!(self.source, CertificateSource::SelfSigned { .. }) && self.is_lasting() {
            return Ok(false);
        }
        let (pair, served) = load(&self.source, &self.names, &self.provider)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.pair != pair;
        if changed {
            *current = Current { pair, served: Arc::new(served) };
        }
        Ok(changed)
    }

    fn is_lasting(&self) -> bool {
        is_valid(&self.served(), &self.names, &self.provider)
    }

    fn served(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).served.clone()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.served())
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("source", &self.source).finish_non_exhaustive() // the key stays out of logs
    }
}

fn load(source: &CertificateSource, names: &[String], provider: &CryptoProvider) -> Result<(Pair, CertifiedKey), CertificateError> {
    match source {
        CertificateSource::Files { cert, key } => from_files(cert, key, provider),
        CertificateSource::SelfSigned { dir: None } => {
            let pair = make(names, VALID)?;
            let served = certified(&pair, Path::new("memory"), Path::new("memory"), provider)?;
            Ok((pair, served))
        }
        CertificateSource::SelfSigned { dir: Some(dir) } => kept(dir, names, provider),
    }
}

fn from_files(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<(Pair, CertifiedKey), CertificateError> {
    let read = |path: &Path| fs::read(path).map_err(|source| CertificateError::Read { path: path.into(), source });
    let pair = Pair { cert: read(cert)?, key: read(key)? };
    let served = certified(&pair, cert, key, provider)?;
    Ok((pair, served))
}

/// The certificate kept in `dir`, if it will do; else a new one, which is kept there.
fn kept(dir: &Path, names: &[String], provider: &CryptoProvider) -> Result<(Pair, CertifiedKey), CertificateError> {
    let (cert, key) = (dir.join(CERT_FILE), dir.join(KEY_FILE));
    match from_files(&cert, &key, provider) {
        Ok(found) if is_valid(&found.1, names, provider) => return Ok(found),
        Ok(_) => tracing::info!("the certificate in {} ends soon or is for other names: a new one takes its place", cert.display()),
        Err(CertificateError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("a new certificate takes the place of one that cannot be used: {}", chain(&error)),
    }
    let pair = make(names, VALID)?;
    write(&key, &pair.key, 0o600)?;
    write(&cert, &pair.cert, 0o644)?;
    let served = certified(&pair, &cert, &key, provider)?;
    Ok((pair, served))
}

/// Whole or not at all: another process may be reading.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), CertificateError> {
    let unfinished = path.with_extension("new");
    let written = || {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let _ = fs::remove_file(&unfinished); // what an earlier process left would keep its mode
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished)?;
        file.write_all(content)?;
        fs::rename(&unfinished, path)
    };
    written().map_err(|source| CertificateError::Write { path: path.into(), source })
}

fn make(names: &[String], valid: Duration) -> Result<Pair, CertificateError> {
    let made = || {
        let mut params = CertificateParams::new(names)?;
        let now = SystemTime::now();
        (params.not_before, params.not_after) = ((now - SKEW).into(), (now + valid).into());
        params.distinguished_name.push(DnType::CommonName, "ai-storage-scheduler");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let cert = params.self_signed(&key)?;
        Ok(Pair { cert: cert.pem().into_bytes(), key: key.serialize_pem().into_bytes() })
    };
    made().map_err(CertificateError::Make)
}

/// What a client may call us: localhost, this machine, and the address listened on when it is a particular one.
fn names(address: IpAddr) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(Into::into).into();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let own = [host.trim().to_owned(), if address.is_unspecified() { String::new() } else { address.to_string() }];
    names.extend(own.into_iter().filter(|name| ServerName::try_from(name.as_str()).is_ok()));
    names.sort_unstable();
    names.dedup();
    names
}

fn certified(pair: &Pair, cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    let no_cert = |source| CertificateError::Pem { path: cert.into(), expected: "certificate", source };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pair.cert).collect::<Result<_, _>>().map_err(no_cert)?;
    if chain.is_empty() {
        return Err(no_cert(pem::Error::NoItemsFound));
    }
    let no_key = |source| CertificateError::Pem { path: key.into(), expected: "private key", source };
    let private = PrivateKeyDer::from_pem_slice(&pair.key).map_err(no_key)?;
    CertifiedKey::from_der(chain, private, provider).map_err(|source| CertificateError::Pair { cert: cert.into(), key: key.into(), source })
}

/// Whether a client that trusts this certificate would take it under every name, now and for [`MARGIN`].
fn is_valid(key: &CertifiedKey, names: &[String], provider: &CryptoProvider) -> bool {
    let Some(cert) = key.cert.first() else { return false };
    let mut roots = RootCertStore::empty();
    if roots.add(cert.clone()).is_err() {
        return false;
    }
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone().into()).build() else { return false };
    let now = UnixTime::now().as_secs();
    let times = [now, now + MARGIN.as_secs()].map(|secs| UnixTime::since_unix_epoch(Duration::from_secs(secs)));
    let valid = |name: &String, time| {
        ServerName::try_from(name.as_str()).is_ok_and(|name| verifier.verify_server_cert(cert, &[], &name, &[], time).is_ok())
    };
    names.iter().all(|name| times.iter().all(|time| valid(name, *time)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring::default_provider;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    const ANY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

    fn obtain(source: CertificateSource) -> Result<Certificate, CertificateError> {
        Certificate::obtain(source, ANY, Arc::new(default_provider()))
    }

    fn self_signed(dir: &TempDir) -> Certificate {
        obtain(CertificateSource::SelfSigned { dir: Some(dir.path().into()) }).unwrap()
    }

    fn served(certificate: &Certificate) -> CertificateDer<'static> {
        certificate.served().cert[0].clone()
    }

    /// Puts a new certificate of 10 days into the folder, so that it is about to end.
    fn put(dir: &TempDir, which: &[&str]) {
        let pair = make(&names(ANY), DAY * 10).unwrap();
        for (name, content) in [(CERT_FILE, pair.cert), (KEY_FILE, pair.key)] {
            if which.contains(&name) {
                fs::write(dir.path().join(name), content).unwrap();
            }
        }
    }

    fn files(dir: &TempDir) -> CertificateSource {
        CertificateSource::Files { cert: dir.path().join(CERT_FILE), key: dir.path().join(KEY_FILE) }
    }

    #[test]
    fn own_certificate_is_kept_and_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let first = served(&self_signed(&dir));
        assert_eq!(served(&self_signed(&dir)), first);
        let mode = fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn own_certificate_that_will_not_do_is_replaced() {
        type Spoil = fn(&TempDir);
        let spoils: [(&str, Spoil); 4] = [
            ("ends soon", |dir| put(dir, &[CERT_FILE, KEY_FILE])),
            ("another key", |dir| put(dir, &[KEY_FILE])),
            ("garbage", |dir| fs::write(dir.path().join(CERT_FILE), "garbage").unwrap()),
            ("no key", |dir| fs::remove_file(dir.path().join(KEY_FILE)).unwrap()),
        ];
        for (what, spoil) in spoils {
            let dir = tempfile::tempdir().unwrap();
            let first = served(&self_signed(&dir));
            spoil(&dir);
            let second = self_signed(&dir);
            assert_ne!(served(&second), first, "{what}");
            assert!(second.is_lasting(), "{what}");
            assert_eq!(served(&self_signed(&dir)), served(&second), "{what}");
        }
    }

    #[test]
    fn own_certificate_in_memory_is_valid_and_stays() {
        let certificate = obtain(CertificateSource::SelfSigned { dir: None }).unwrap();
        assert!(certificate.is_lasting());
        assert!(!certificate.refresh().unwrap());
    }

    #[test]
    fn files_are_served_whenever_they_change_and_only_when_they_are_right() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir, &[CERT_FILE, KEY_FILE]);
        let certificate = obtain(files(&dir)).unwrap();
        let first = served(&certificate);
        assert!(!certificate.refresh().unwrap());
        put(&dir, &[CERT_FILE]);
        assert!(certificate.refresh().is_err());
        assert_eq!(served(&certificate), first);
        put(&dir, &[CERT_FILE, KEY_FILE]);
        assert!(certificate.refresh().unwrap());
        assert_ne!(served(&certificate), first);
    }

    #[test]
    fn files_that_cannot_be_served_are_named() {
        type Spoil = fn(&TempDir);
        let spoils: [(Spoil, &str); 5] = [
            (|dir| fs::remove_file(dir.path().join(CERT_FILE)).unwrap(), "DIR/ai-storage-scheduler.crt cannot be read: "),
            (|dir| fs::remove_file(dir.path().join(KEY_FILE)).unwrap(), "DIR/ai-storage-scheduler.key cannot be read: "),
            (|dir| fs::write(dir.path().join(CERT_FILE), "").unwrap(), "DIR/ai-storage-scheduler.crt does not hold a certificate in PEM: "),
            (|dir| fs::write(dir.path().join(KEY_FILE), "").unwrap(), "DIR/ai-storage-scheduler.key does not hold a private key in PEM: "),
            (
                |dir| put(dir, &[KEY_FILE]),
                "the certificate in DIR/ai-storage-scheduler.crt cannot be served with the key in DIR/ai-storage-scheduler.key: ",
            ),
        ];
        for (spoil, expected) in spoils {
            let dir = tempfile::tempdir().unwrap();
            put(&dir, &[CERT_FILE, KEY_FILE]);
            spoil(&dir);
            let error = chain(&obtain(files(&dir)).unwrap_err()).replace(dir.path().to_str().unwrap(), "DIR");
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
