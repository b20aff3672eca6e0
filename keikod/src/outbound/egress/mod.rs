//! Where keikod may connect to. Agents and servers are registered by people whom nobody asked
//! about the machine's neighbourhood, so what lies there is closed by default.
//!
//! Invariants: `deny` beats `allow`, `allow` beats the default; a name is judged together with
//! each address it resolved to, and the connection goes to a judged address only; IPv4 inside
//! IPv6 is judged as IPv4 too. Never: resolves anything itself, or opens a connection.

mod address;
mod rule;
#[cfg(test)]
mod tests;

use keiko_core::refusal::{Code, Refusal, Result};
use rule::Rule;
use std::net::IpAddr;

/// `[egress]` of keiko.toml, and the ports that are keikod's own.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    allow: Vec<Rule>,
    deny: Vec<Rule>,
    own_ports: Vec<u16>,
}

impl Policy {
    /// `own_ports` are denied on addresses of this machine: keikod must not be talked into calling
    /// itself, where loopback counts as admin.
    pub fn new(allow: &[String], deny: &[String], own_ports: Vec<u16>) -> Result<Self> {
        let rules =
            |texts: &[String]| texts.iter().map(|text| Rule::parse(text)).collect::<Result<_>>();
        Ok(Self { allow: rules(allow)?, deny: rules(deny)?, own_ports })
    }

    /// Judges a name before it is resolved.
    pub fn admit_name(&self, host: &str, port: u16) -> Result<()> {
        let normal = rule::normal_host(host);
        if self.deny.iter().any(|rule| rule.names(&normal, port)) {
            return Err(denied(host, port, "denied by [egress] deny"));
        }
        if self.allow.iter().any(|rule| rule.names(&normal, port)) {
            return Ok(());
        }
        if address::is_metadata_name(&normal) {
            return Err(denied(host, port, "a cloud's metadata service"));
        }
        Ok(())
    }

    /// Judges an address, and the name that led to it.
    pub fn admit(&self, host: Option<&str>, address: IpAddr, port: u16) -> Result<()> {
        let (outer, inner) = address::faces(address);
        std::iter::once(outer).chain(inner).try_for_each(|face| self.admit_face(host, face, port))
    }

    fn admit_face(&self, host: Option<&str>, address: IpAddr, port: u16) -> Result<()> {
        let covers = |rules: &[Rule]| rules.iter().any(|rule| rule.covers(host, address, port));
        let refuse = |why: &str| {
            let shown = address.to_string();
            let why = format!("{} is {why}", host.map_or("it", |_| shown.as_str()));
            Err(denied(host.unwrap_or(&shown), port, &why))
        };
        if covers(&self.deny) {
            return refuse("denied by [egress] deny");
        }
        if covers(&self.allow) {
            return Ok(());
        }
        if let Some(why) = address::denied_by_default(address) {
            return refuse(why);
        }
        if self.own_ports.contains(&port) && address::is_local(address) {
            return refuse("this daemon's own port");
        }
        Ok(())
    }
}

fn denied(target: &str, port: u16, why: &str) -> Refusal {
    let target = if target.contains(':') {
        format!("[{target}]:{port}")
    } else {
        format!("{target}:{port}")
    };
    Refusal::new(Code::EgressDenied, format!("keikod may not connect to {target}"))
        .cause(why)
        .hint(format!("if it is meant, in keiko.toml: [egress] allow = [\"{target}\"]"))
}

#[cfg(test)]
mod fuzz;
