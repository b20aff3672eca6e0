//! `role`: what can be handed out.

use super::declared_args::{DeleteArgs, DescribeArgs, GetArgs, ListArgs, RoleCreateArgs, RoleVerb};
use super::told::{Told, page, tell};
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::{Cell, Column, Format, FormatKind, Listing, Shown, When};
use crate::rooms::registry::flags::DryRunBy;
use crate::session::{QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    DeleteRoleRequest, GetRoleRequest, GetRoleResponse, ListRolesRequest, PutRoleRequest, Role,
    Rule,
};
use serde_json::Value;

/// A role as a row.
struct Row(Role);

impl Shown for Row {
    fn json(&self) -> Value {
        let mut json = to_json("keiko.v1.Role", &self.0);
        json["builtIn"] = self.0.built_in.into();
        json
    }
}

impl Row {
    fn reference(&self) -> String {
        format!("role/{}", self.0.name)
    }
}

const COLUMNS: &[Column<Row>] = &[
    Column::new("NAME", |row: &Row, _| Cell::text(&row.0.name)),
    Column::new("KIND", |row: &Row, _| {
        Cell::text(if row.0.built_in { "built-in" } else { "declared" })
    }),
    Column::new("ALLOWS", |row: &Row, _| Cell::text(allows(&row.0))).flexible(),
    Column::new("AGE", |row: &Row, clock| Cell::age(clock, row.0.created_ms)),
    Column::new("DESCRIPTION", |row: &Row, _| Cell::text(&row.0.description)).when(When::Wide),
];

fn allows(role: &Role) -> String {
    role.rules.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// As it is typed behind `--allow`.
fn line(rule: &Rule) -> String {
    match rule.resources.join(",") {
        resources if resources.is_empty() || resources == "*" => rule.permissions.join(","),
        resources => format!("{}:{resources}", rule.permissions.join(",")),
    }
}

/// Runs a verb of roles.
pub(crate) async fn run(verb: RoleVerb, session: &Session) -> Outcome {
    match verb {
        RoleVerb::Create(args) => create(args, session).await,
        RoleVerb::List(args) => list(&args, session).await,
        RoleVerb::Get(args) => get(args, session).await,
        RoleVerb::Describe(args) => describe(args, session).await,
        RoleVerb::Delete(args) => delete(args, session).await,
    }
}

async fn create(args: RoleCreateArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let RoleCreateArgs { name, rules, description, dry_run, request } = args;
    let by = dry_run.by();
    let reference = format!("role/{name}");
    let role = Role { name, rules, description, ..Role::default() };
    let mut told = Told { reference: &reference, did: "declared", revision: 0, dry_run: by };
    if by == Some(DryRunBy::Client) {
        return tell(session, Row(role).json(), &told);
    }
    let dry_run = dry_run.at_server();
    let message = PutRoleRequest { role: Some(role), request_id: Vec::new(), dry_run };
    let client = session.client(QUICK).await?;
    let put = client
        .write(request.id, message, |client, request| async move {
            client.security().put_role(request).await
        })
        .await?;
    told.revision = put.write.unwrap_or_default().revision;
    tell(session, Row(put.role.unwrap_or_default()).json(), &told)
}

async fn list(args: &ListArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let request = ListRolesRequest { consistency: args.freshness.wire() };
    let listed = client
        .read(request, |client, request| async move { client.security().list_roles(request).await })
        .await?;
    let printer = &session.printer;
    let wanted = args.look.wanted(false);
    let rows: Vec<Row> = listed.items.into_iter().map(Row).collect();
    let rows = wanted.sort(COLUMNS, rows, &printer.clock)?;
    let listing = Listing { revision: listed.revision, name: &Row::reference };
    printer.rows(COLUMNS, &wanted, &rows, !args.look.no_headers, listing)?;
    Ok(Exit::Done)
}

async fn fetch(client: &Client, name: String, consistency: i32) -> Outcome<GetRoleResponse> {
    let request = GetRoleRequest { name, consistency };
    let found = client
        .read(request, |client, request| async move { client.security().get_role(request).await })
        .await?;
    Ok(found)
}

async fn get(args: GetArgs, session: &Session) -> Outcome {
    let client = session.client(QUICK).await?;
    let found = fetch(&client, args.name, args.freshness.wire()).await?;
    let row = Row(found.role.unwrap_or_default());
    let printer = &session.printer;
    match &printer.format {
        Format::Plain(
            FormatKind::Table | FormatKind::Wide | FormatKind::Csv | FormatKind::Name,
        ) => {
            let listing = Listing { revision: found.revision, name: &Row::reference };
            let wanted = args.look.wanted(false);
            printer.rows(COLUMNS, &wanted, &[row], !args.look.no_headers, listing)?;
        }
        _ => printer.document(&row.json(), |_| String::new())?,
    }
    Ok(Exit::Done)
}

async fn describe(args: DescribeArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let client = session.client(QUICK).await?;
    let found = fetch(&client, args.name, args.freshness.wire()).await?;
    let mut document = to_json("keiko.v1.GetRoleResponse", &found);
    document["bindings"] = found.bindings.clone().into();
    let row = Row(found.role.unwrap_or_default());
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{}\n", row.reference()),
        _ => {
            let role = &row.0;
            let mut lines = vec![
                ("name", Cell::text(&role.name)),
                ("kind", Cell::text(if role.built_in { "built-in" } else { "declared" })),
                ("description", Cell::text(&role.description)),
            ];
            lines.extend(role.rules.iter().map(|rule| ("allows", Cell::text(line(rule)))));
            lines.extend(found.bindings.iter().map(|name| ("bound by", Cell::text(name))));
            lines.push(("changed", Cell::age(&printer.clock, role.changed_ms)));
            page(lines).lay_out(&printer.style, None, false)
        }
    })?;
    Ok(Exit::Done)
}

async fn delete(args: DeleteArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let DeleteArgs { name, dry_run, request } = args;
    let by = dry_run.by();
    let client = session.client(QUICK).await?;
    let reference = format!("role/{name}");
    let mut told = Told { reference: &reference, did: "deleted", revision: 0, dry_run: by };
    if by == Some(DryRunBy::Client) {
        let found = fetch(&client, name, 0).await?;
        return tell(session, Row(found.role.unwrap_or_default()).json(), &told);
    }
    let message = DeleteRoleRequest { name, request_id: Vec::new(), dry_run: dry_run.at_server() };
    let deleted = client
        .write(request.id, message, |client, request| async move {
            client.security().delete_role(request).await
        })
        .await?;
    told.revision = deleted.write.unwrap_or_default().revision;
    tell(session, Row(deleted.role.unwrap_or_default()).json(), &told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_role_allows_reads_as_it_is_typed() {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let rule = |permissions: &[&str], resources: &[&str]| Rule {
            permissions: texts(permissions),
            resources: texts(resources),
        };
        let rules = vec![
            rule(&["registry.write", "registry.read"], &["agent/team-a/*"]),
            rule(&["tool.call"], &[]),
            rule(&["agent.call"], &["*"]),
        ];
        let role = Role { rules, ..Role::default() };
        let expect = "registry.write,registry.read:agent/team-a/*; tool.call; agent.call";
        assert_eq!(allows(&role), expect);
    }
}
