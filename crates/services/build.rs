//! Tells the tests which servers are missing: `no_postgres`, `no_redis`, `no_nats`,
//! `no_mariadb` and `no_pgbouncer`. None is said to be missing where REQUIRE_SERVICES is set,
//! so that the tests run and fail.

use std::env;
use std::path::Path;

use servers::{Kind, PGBOUNCER};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=REQUIRE_SERVICES");
    for kind in Kind::ALL {
        let (name, variable) = (kind.name(), kind.variable());
        println!("cargo::rustc-check-cfg=cfg(no_{name})");
        println!("cargo::rerun-if-env-changed={variable}");
        let is_set = |name| env::var_os(name).is_some();
        match kind.program() {
            Ok(program) => println!("cargo::rerun-if-changed={}", program.display()),
            Err(_) if is_set(variable) || is_set("REQUIRE_SERVICES") => {}
            Err(_) => {
                println!("cargo::rustc-cfg=no_{name}");
                // A file that never is: look again at the next build.
                println!("cargo::rerun-if-changed=no-{name}");
            }
        }
    }
    println!("cargo::rustc-check-cfg=cfg(no_pgbouncer)");
    println!("cargo::rerun-if-changed={PGBOUNCER}");
    if !Path::new(PGBOUNCER).exists() && env::var_os("REQUIRE_SERVICES").is_none() {
        println!("cargo::rustc-cfg=no_pgbouncer");
    }
}
