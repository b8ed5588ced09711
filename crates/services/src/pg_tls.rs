//! Connect to PostgreSQL over TLS, check who answers, and never fall back to plain text.
//!
//! The crate rustls always checks the server's certificate and the host name in it. The
//! host must be a subjectAltName of the certificate. libpq makes these checks with
//! `sslmode=verify-full`, and asyncpg with a context in `ssl=`. tokio-postgres refuses
//! `verify-full` and `sslrootcert` in a URL: leave them out.
//!
//! Bounds: Each connect, with its TLS handshake, fails after `limit`.
//! (`connect_timeout` of tokio-postgres does not limit the handshake.)
//!
//! Trap: If you leave `sslmode` at its default, `prefer`, your password and data may
//! travel in plain text. This happens if the server, or an attacker in its place, reports
//! that it has no TLS. It always happens if you pass `tokio_postgres::NoTls` in place of
//! a TLS connector. Set `SslMode::Require`.
//!
//! Trap: If you cancel a query by `cancel_query(NoTls)`, it fails with "no TLS
//! implementation configured", because the client opens a second connection for the
//! cancellation. With `prefer` it even sends the key for the cancellation in plain text.
//! Pass the TLS connector to `cancel_query`.
//!
//! See also: `tls`, `pg_pool`.
//!
//! asyncio: asyncio.StreamWriter.start_tls

use std::error::Error;
use std::fmt;
use std::io;
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, Pool, Runtime};
use tokio::time::{error::Elapsed, timeout};
use tokio_postgres::config::{Config, SslMode};
use tokio_postgres::{CancelToken, Client};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

pub type Failure = Box<dyn Error + Send + Sync>;

/// Returns a connector that trusts these authorities alone, in PEM: the contents of the
/// file that libpq calls `sslrootcert`. Fails if one cannot be parsed, or there is none.
pub fn trust(authorities: &[u8]) -> Result<MakeRustlsConnect, Failure> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities) {
        roots.add(authority?)?;
    }
    if roots.is_empty() {
        return Err("no certificate of an authority".into());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Why there is no connection, with all causes: `{}` of the inner error prints the first.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no connection in time")]
    Timeout(#[from] Elapsed),
    #[error("{}", causes(.0))]
    Postgres(#[from] tokio_postgres::Error),
}

/// Returns the texts of an error and of its causes.
pub fn causes(error: &dyn Error) -> String {
    let errors = successors(Some(error), |&error| error.source());
    let texts: Vec<String> = errors.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Returns why the server's certificate was refused, if it was.
pub fn refusal(error: &tokio_postgres::Error) -> Option<&CertificateError> {
    let cause: &io::Error = error.source()?.downcast_ref()?;
    match cause.get_ref()?.downcast_ref()? {
        rustls::Error::InvalidCertificate(refusal) => Some(refusal),
        _ => None,
    }
}

/// A server that is reached over TLS only.
#[derive(Clone)]
pub struct PgTls {
    config: Config,
    tls: MakeRustlsConnect,
    limit: Duration,
}

impl PgTls {
    /// Requires TLS, whatever the URL asks for. `limit` is for a connect with its
    /// handshake.
    pub fn new(mut config: Config, tls: MakeRustlsConnect, limit: Duration) -> Self {
        config.ssl_mode(SslMode::Require);
        Self { config, tls, limit }
    }

    /// Connects. Dropping the future closes the socket.
    pub async fn connect(&self) -> Result<Client, ConnectError> {
        let connecting = self.config.connect(self.tls.clone());
        let (client, connection) = timeout(self.limit, connecting).await??;
        // Ends when the client is dropped. The client reports the errors.
        tokio::spawn(connection);
        Ok(client)
    }

    /// Asks the server to cancel what runs on a connection, over TLS as well. The server
    /// does not tell whether it has.
    pub async fn cancel(&self, token: &CancelToken) -> Result<(), ConnectError> {
        let asking = token.cancel_query(self.tls.clone());
        Ok(timeout(self.limit, asking).await??)
    }

    /// Returns a pool of at most `connections` connections, which are made when they
    /// are needed.
    pub fn pool(&self, connections: usize) -> Pool {
        let manager = Manager::new(self.config.clone(), self.tls.clone());
        Pool::builder(manager)
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(self.limit))
            .create_timeout(Some(self.limit))
            .build()
            .expect("it has a runtime for its timeouts")
    }
}

impl fmt::Debug for PgTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("PgTls");
        fields.field("config", &self.config).finish_non_exhaustive()
    }
}

/// Tells which TLS the server of DATABASE_URL speaks: `cargo run -- root.crt`.
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let file = std::env::args().nth(1).ok_or("usage: CERTIFICATES.pem")?;
    let connector = trust(&std::fs::read(file)?)?;
    let server = PgTls::new(url.parse()?, connector, Duration::from_secs(10));
    let client = server.connect().await?;
    let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = client.query_one(sql, &[]).await?;
    println!("connected with {}", row.get::<_, String>(0));
    Ok(())
}

//@ clock: real
//@ try: nowhere.crt -> No such file
