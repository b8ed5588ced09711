//! The databases that the service may have, empty.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::path::PathBuf;

use app::store::Database;
use tempfile::TempDir;

pub struct Empty {
    /// As the setting `database`.
    pub setting: String,
    /// The folder of the service, and of SQLite's file.
    pub dir: TempDir,
}

impl Empty {
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let setting = dir.path().join("notes.db").to_str().unwrap().to_owned();
        Self { setting, dir }
    }

    pub fn path(&self) -> PathBuf {
        PathBuf::from(&self.setting)
    }

    pub fn database(&self) -> Database {
        self.setting.parse().unwrap()
    }
}

/// Returns one of each kind. A PostgreSQL gets a schema with the name of the test.
#[cfg(feature = "postgres")]
pub async fn all(test: &str) -> Vec<Empty> {
    vec![Empty::sqlite(), postgres(test).await]
}

#[cfg(not(feature = "postgres"))]
pub async fn all(_test: &str) -> Vec<Empty> {
    vec![Empty::sqlite()]
}

/// Lets the leases of the jobs expire, where there are any.
#[cfg(feature = "postgres")]
pub async fn expire(test: &str, setting: &str) {
    if setting.starts_with("postgres") {
        let sql = "UPDATE job SET due = now() WHERE due < 'infinity'";
        admin(test).await.batch_execute(sql).await.unwrap();
    }
}

#[cfg(not(feature = "postgres"))]
pub async fn expire(_test: &str, _setting: &str) {}

#[cfg(feature = "postgres")]
pub async fn postgres(test: &str) -> Empty {
    let schema = format!("DROP SCHEMA IF EXISTS {test} CASCADE; CREATE SCHEMA {test}");
    admin("public").await.batch_execute(&schema).await.unwrap();
    let setting = format!("{}?options=-c%20search_path%3D{test}", server());
    let dir = tempfile::tempdir().unwrap();
    Empty { setting, dir }
}

/// A connection of the test itself, to a schema.
#[cfg(feature = "postgres")]
pub async fn admin(schema: &str) -> tokio_postgres::Client {
    let connected = tokio_postgres::connect(&server(), tokio_postgres::NoTls).await;
    let (client, connection) = connected.unwrap();
    tokio::spawn(connection);
    let path = format!("SET search_path = {schema}");
    client.batch_execute(&path).await.unwrap();
    client
}

#[cfg(feature = "postgres")]
pub fn server() -> String {
    std::env::var("DATABASE_URL").expect(
        "DATABASE_URL is not set: the tests of the feature `postgres` need \
         postgres://user@host/database, where they make schemas",
    )
}
