//! The security room: `agent token` and `cluster token`, `role`, `binding`, `person`, `whoami`,
//! `can-i`, `security` and `audit`.

mod args;
mod audit;
mod bindings;
mod declared_args;
mod people;
mod roles;
mod run;
mod table;
mod tokens;
mod told;
mod unused;
mod whoami;

pub(crate) use args::{TokenArgs, TokenVerb, WHOM};
pub(crate) use audit::run as audit;
pub(crate) use bindings::run as binding;
pub(crate) use declared_args::{
    AuditVerb, BindingVerb, CanIArgs, PersonVerb, RoleVerb, SecurityVerb,
};
pub(crate) use people::run as person;
pub(crate) use roles::run as role;
pub(crate) use run::run;
pub(crate) use tokens::{make as make_token, run as token};
pub(crate) use unused::run as security;
pub(crate) use whoami::{can_i, whoami};
