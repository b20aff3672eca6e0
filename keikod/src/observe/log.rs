//! Log lines on stderr: for people on a terminal, one JSON object per line elsewhere.
//!
//! The filter can be changed while the daemon lives.

use crate::settings::LogFormat;
use keiko_core::refusal::{Code, Refusal, Result};
use std::io::{IsTerminal, Write, stderr};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// The process's log, once.
#[derive(Clone, Debug)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Log {
    /// Starts it for the whole process.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`] for a filter that is none; [`Code::Internal`] if the process
    /// already has a log.
    pub fn start(filter: &str, format: LogFormat) -> Result<Self> {
        let terminal = stderr().is_terminal();
        let json = match format {
            LogFormat::Auto => !terminal,
            LogFormat::Human => false,
            LogFormat::Json => true,
        };
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (filter, handle) = reload::Layer::new(parse(filter)?);
        let lines = lines(json, colour, stderr);
        tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|error| {
            Refusal::new(Code::Internal, "the log can't be started").cause(error)
        })?;
        Ok(Self { filter: handle })
    }

    /// Changes what is logged from now on.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`]; then the old filter stays.
    pub fn set_filter(&self, filter: &str) -> Result<()> {
        self.filter.reload(parse(filter)?).map_err(|error| {
            Refusal::new(Code::Internal, "the log filter can't be changed").cause(error)
        })
    }
}

fn lines<S, W>(json: bool, colour: bool, writer: fn() -> W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
    W: Write + 'static,
{
    if json {
        let layer = fmt::layer().json().flatten_event(true).with_current_span(true);
        Box::new(layer.with_span_list(false).with_writer(writer))
    } else {
        Box::new(fmt::layer().with_ansi(colour).with_writer(writer))
    }
}

fn parse(filter: &str) -> Result<EnvFilter> {
    EnvFilter::builder().parse(filter).map_err(|error| {
        Refusal::new(Code::ConfigInvalid, format!("log filter {filter:?} is not valid"))
            .cause(error)
            .hint("write a level or target=level, such as info,keikod::consensus=debug")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());

    struct Memory;

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            WRITTEN.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_filter_changes_while_it_runs() {
        let (filter, handle) = reload::Layer::new(parse("warn").unwrap());
        let log = Log { filter: handle };
        let lines = lines(true, false, || Memory);
        let subscriber = tracing_subscriber::registry().with(filter).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("unheard");
            log.set_filter("info").unwrap();
            tracing::info!(revision = 7, "heard");
            assert_eq!(log.set_filter("info=loud").unwrap_err().code, Code::ConfigInvalid);
        });
        let written = String::from_utf8(WRITTEN.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(written.trim()).unwrap();
        assert_eq!((&line["message"], &line["revision"]), (&"heard".into(), &7.into()));
    }
}
