//! How tokens are shown.

use crate::print::time::{Clock, rfc3339};
use crate::print::{Cell, Column, Role, Shown, When};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{CreateAgentTokenResponse, CreateTokenResponse, TokenInfo};
use serde_json::{Value, json};

/// The JSON.
pub(super) fn document(made: &CreateAgentTokenResponse) -> Value {
    let mut document = to_json("keiko.v1.CreateAgentTokenResponse", made);
    document["revision"] = json!(made.write.unwrap_or_default().revision);
    document
}

/// What is worth knowing, for people.
pub(super) fn note(made: &CreateAgentTokenResponse) -> String {
    format!("it may touch {} until {}; it is not shown again", made.scope, rfc3339(made.expires_ms))
}

/// The JSON of one for anybody.
pub(super) fn created(made: &CreateTokenResponse) -> Value {
    let mut document = to_json("keiko.v1.CreateTokenResponse", made);
    document["oneUse"] = json!(made.one_use);
    document["revision"] = json!(made.write.unwrap_or_default().revision);
    document
}

/// What it is good for, and what to type next.
pub(super) fn next(made: &CreateTokenResponse, address: &str, token: &str) -> [String; 2] {
    let until = rfc3339(made.expires_ms);
    let who = match made.scope.as_str() {
        "" => made.role.as_str(),
        scope => scope,
    };
    if !made.one_use {
        return [
            format!("whoever shows it calls as {who}, until {until}; it is not shown again"),
            format!("next: KEIKO_TOKEN={token} keikoctl --endpoint https://{address} status"),
        ];
    }
    let (what, next) = match made.role.as_str() {
        "node" if !made.scope.is_empty() => (
            format!("it lets {who} come back in the place of the one that is down"),
            format!("on that machine: keikod repair --data-dir D --from {address} --token {token}"),
        ),
        "node" => (
            "it makes one node a member".to_owned(),
            format!("on that machine: keikod run --data-dir D --join {address} --token {token}"),
        ),
        role => (
            match (role, made.name.as_str()) {
                ("agent", _) | (_, "") => format!("it is traded for a certificate of {who}"),
                (role, name) => format!("it is traded for a certificate of {name}, as {role}"),
            },
            format!("keikoctl context add keiko --endpoint https://{address} --token {token}"),
        ),
    };
    [format!("{what}, once, until {until}; it is not shown again"), format!("next: {next}")]
}

/// A token as a row.
pub(super) struct Row(pub TokenInfo);

impl Shown for Row {
    fn json(&self) -> Value {
        let mut json = to_json("keiko.v1.TokenInfo", &self.0);
        json["oneUse"] = json!(self.0.one_use);
        json
    }
}

impl Row {
    /// `token/id`.
    pub(super) fn reference(&self) -> String {
        format!("token/{}", self.0.id)
    }
}

/// The columns of tokens.
pub(super) const COLUMNS: &[Column<Row>] = &[
    Column::new("ID", |row: &Row, _| Cell::text(&row.0.id)),
    Column::new("FOR", |row: &Row, _| {
        Cell::text(if row.0.scope.is_empty() { &row.0.role } else { &row.0.scope })
    }),
    Column::new("NAME", |row: &Row, _| Cell::text(&row.0.name)),
    Column::new("USE", |row: &Row, _| Cell::text(if row.0.one_use { "once" } else { "bearer" })),
    Column::new("STATE", |row: &Row, clock| state(&row.0, clock)),
    Column::new("EXPIRES", |row: &Row, clock| Cell::until(clock, row.0.expires_ms)),
    Column::new("AGE", |row: &Row, clock| Cell::age(clock, row.0.created_ms)),
    Column::new("USED-FOR", |row: &Row, _| Cell::text(&row.0.used_for)).when(When::Wide),
    Column::new("USED", |row: &Row, clock| Cell::age(clock, row.0.used_ms)).when(When::Wide),
];

fn state(token: &TokenInfo, clock: &Clock) -> Cell {
    match token {
        TokenInfo { used_ms: 1.., .. } => Cell::role(Role::Muted, "used"),
        TokenInfo { expires_ms, .. } if *expires_ms <= clock.now_ms => {
            Cell::role(Role::Muted, "expired")
        }
        _ => Cell::role(Role::Good, "good"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::columns::Wanted;
    use crate::print::{FormatKind, Style};

    fn made(role: &str, scope: &str, name: &str, one_use: bool) -> CreateTokenResponse {
        CreateTokenResponse {
            role: role.into(),
            scope: scope.into(),
            name: name.into(),
            one_use,
            expires_ms: 3_600_000,
            ..CreateTokenResponse::default()
        }
    }

    #[test]
    fn a_new_token_says_what_is_next() {
        let check = |made: CreateTokenResponse, what: &str, next_line: &str| {
            let [told, line] = next(&made, "10.0.0.1:7340", "\"$T\"");
            assert!(told.starts_with(what), "{told}");
            assert!(told.ends_with("until 1970-01-01T01:00:00.000Z; it is not shown again"));
            assert_eq!(line, next_line);
        };
        check(
            made("node", "", "", true),
            "it makes one node a member, once, ",
            "next: on that machine: keikod run --data-dir D --join 10.0.0.1:7340 --token \"$T\"",
        );
        check(
            made("node", "node/n3", "", true),
            "it lets node/n3 come back in the place of the one that is down, once, ",
            "next: on that machine: keikod repair --data-dir D --from 10.0.0.1:7340 --token \"$T\"",
        );
        let add =
            "next: keikoctl context add keiko --endpoint https://10.0.0.1:7340 --token \"$T\"";
        let person = made("operator", "", "anna", true);
        check(person, "it is traded for a certificate of anna, as operator, once, ", add);
        let agent = made("agent", "agent/default/hello", "agent.default.hello", true);
        check(agent, "it is traded for a certificate of agent/default/hello, once, ", add);
        check(
            made("viewer", "", "", false),
            "whoever shows it calls as viewer, ",
            "next: KEIKO_TOKEN=\"$T\" keikoctl --endpoint https://10.0.0.1:7340 status",
        );
    }

    #[test]
    fn tokens_in_columns() {
        let clock = Clock { now_ms: 1_000_000, utc: false };
        let token = |id: &str, one_use: bool, expires_ms: u64, used_ms: u64| {
            Row(TokenInfo {
                id: id.into(),
                role: "viewer".into(),
                one_use,
                expires_ms,
                used_ms,
                created_ms: 940_000,
                ..TokenInfo::default()
            })
        };
        let rows = [
            token("a", true, 1_060_000, 0),
            token("b", true, 1_060_000, 950_000),
            token("c", false, 999_000, 0),
        ];
        let grid = Wanted::default().grid(COLUMNS, &rows, FormatKind::Table, &clock).unwrap();
        assert_eq!(
            grid.lay_out(&Style::plain(), None, true),
            "ID   FOR      NAME   USE      STATE     EXPIRES   AGE\n\
             a    viewer          once     good      in 1m     1m\n\
             b    viewer          once     used      in 1m     1m\n\
             c    viewer          bearer   expired   over      1m\n"
        );
        assert_eq!(rows[0].reference(), "token/a");
        assert_eq!(rows[2].json()["oneUse"], false);
    }
}
