//! Path templates of the annotations: literals, `{field}`, and a `:verb` at the end.

use crate::net::decode;
use keiko_core::refusal::{Code, Refusal, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    Field(String),
}

/// One template, as in `/v1/objects/{kind}/{namespace}/{name}:history`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    segments: Vec<Segment>,
    verb: Option<String>,
}

/// Fields of a template and what a path has in their place.
pub(super) type Captures = Vec<(String, String)>;

impl Template {
    /// Reads a template of our own protos; `*`, `**` and `{field=…}` are not used there.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let malformed =
            || Refusal::new(Code::Internal, format!("the path template {text:?} can't be read"));
        let rest = text.strip_prefix('/').ok_or_else(malformed)?;
        let (rest, verb) = match rest.rsplit_once(':') {
            Some((rest, verb)) if !verb.contains(['/', '{', '}']) => (rest, Some(verb.to_owned())),
            Some(_) => return Err(malformed()),
            None => (rest, None),
        };
        let segment = |part: &str| match part.strip_prefix('{') {
            Some(field) => {
                let field = field.strip_suffix('}').ok_or_else(malformed)?;
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
                if field.is_empty() || !field.chars().all(plain) {
                    return Err(malformed());
                }
                Ok(Segment::Field(field.to_owned()))
            }
            None if part.is_empty() || part.contains(['{', '}', '*']) => Err(malformed()),
            None => Ok(Segment::Literal(part.to_owned())),
        };
        Ok(Self { segments: rest.split('/').map(segment).collect::<Result<_>>()?, verb })
    }

    /// Orders templates: what says more is tried first.
    pub(super) fn weight(&self) -> (bool, usize) {
        let literals = self.segments.iter().filter(|part| matches!(part, Segment::Literal(_)));
        (self.verb.is_some(), literals.count())
    }

    /// The names of its fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Field(field) => Some(field.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// What the path, still percent-encoded, has for each field; none if it does not fit.
    pub(super) fn matches(&self, path: &str) -> Option<Captures> {
        let mut rest = path.strip_prefix('/')?;
        if let Some(verb) = &self.verb {
            rest = rest.strip_suffix(verb.as_str())?.strip_suffix(':')?;
        }
        let mut captures = Captures::new();
        let mut parts = rest.split('/');
        for segment in &self.segments {
            let part = parts.next().filter(|part| !part.is_empty())?;
            match segment {
                Segment::Literal(literal) if literal == part => {}
                Segment::Literal(_) => return None,
                Segment::Field(field) => captures.push((field.clone(), decode(part)?)),
            }
        }
        parts.next().is_none().then_some(captures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_paths() {
        let check = |template: &str, path: &str, expect: Option<&[(&str, &str)]>| {
            let got = Template::parse(template).unwrap().matches(path);
            let expect = expect.map(|pairs| {
                pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>()
            });
            assert_eq!(got, expect, "{template} {path}");
        };
        check("/v1/status", "/v1/status", Some(&[]));
        check("/v1/status", "/v1/status/", None);
        check("/v1/status", "/v1/Status", None);
        check("/v1/status", "v1/status", None);
        check("/v1/{kind}", "/v1/agent", Some(&[("kind", "agent")]));
        check("/v1/{kind}", "/v1/", None);
        check("/v1/{kind}", "/v1/a/b", None);
        check("/v1/{kind}/{name}", "/v1//b", None);
        check("/v1/{name}", "/v1/a%2Fb%20c+d", Some(&[("name", "a/b c+d")]));
        check("/v1/{name}", "/v1/%C3%A9", Some(&[("name", "é")]));
        check("/v1/{name}", "/v1/%ff", None);
        check("/v1/{name}", "/v1/%4", None);
        check("/v1/{name}", "/v1/%zz", None);
        check("/v1/{name}:call", "/v1/srv.tool:call", Some(&[("name", "srv.tool")]));
        check("/v1/{name}:call", "/v1/a:b:call", Some(&[("name", "a:b")]));
        check("/v1/{name}:call", "/v1/:call", None);
        check("/v1/{name}:call", "/v1/a%3Acall", None);
        check("/v1/{name}:call", "/v1/a", None);
        check("/v1/cluster:init", "/v1/cluster:init", Some(&[]));
        check("/v1/a/{b}/c", "/v1/a/x/c", Some(&[("b", "x")]));
        check("/v1/a/{b}/c", "/v1/a/x/d", None);
    }

    #[test]
    fn templates_that_we_do_not_write() {
        for text in ["v1", "/v1/{a", "/v1/{}", "/v1/*", "/v1/{a=x}", "/v1//b", "/v1:a/b", "/{a:b}"]
        {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
