use std::io;

use crate::Kind;

/// A server that only Linux starts. Elsewhere, set the variable to an address.
#[derive(Debug)]
pub struct Server(std::convert::Infallible);

impl Server {
    /// Fails.
    pub fn start(kind: Kind) -> io::Result<Self> {
        let variable = kind.variable();
        let says =
            format!("only Linux starts servers here; set {variable} to an address");
        Err(io::Error::new(io::ErrorKind::Unsupported, says))
    }

    /// Starts a standby.
    pub fn standby(&self) -> io::Result<Self> {
        match self.0 {}
    }

    /// Starts a PgBouncer.
    pub fn pgbouncer(&self, _pool_mode: &str) -> io::Result<Self> {
        match self.0 {}
    }

    /// Returns the address.
    pub fn url(&self) -> String {
        match self.0 {}
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        match self.0 {}
    }

    /// Restarts the server.
    pub fn restart(&mut self) -> io::Result<()> {
        match self.0 {}
    }

    /// Stops the server for a while.
    pub fn pause(&self) {
        match self.0 {}
    }

    /// Lets the server go on.
    pub fn resume(&self) {
        match self.0 {}
    }
}
