//! Colour by role, never by meaning alone: every state is a word first.

use clap::ValueEnum;
use std::env;
use std::io::IsTerminal;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR or TERM=dumb says otherwise.
    #[default]
    Auto,
    /// Also in a pipe.
    Always,
    /// Never.
    Never,
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Nothing in particular.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Broken.
    Bad,
    /// Less important.
    Muted,
    /// A title.
    Title,
}

/// True if the terminal takes text and nothing else.
pub(crate) fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether one stream is coloured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    color: bool,
}

impl Style {
    /// For a stream.
    pub(crate) fn of(choice: ColorChoice, stream: &impl IsTerminal) -> Self {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let forced =
            env::var_os("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0");
        let color = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if is_set("NO_COLOR") => false,
            ColorChoice::Auto if forced => true,
            ColorChoice::Auto => stream.is_terminal() && !is_dumb(),
        };
        Self { color }
    }

    /// Without colour.
    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self { color: false }
    }

    /// True if this stream is coloured.
    pub(crate) const fn is_colored(&self) -> bool {
        self.color
    }

    /// Paints a piece of text.
    pub(crate) fn paint(&self, role: Role, text: &str) -> String {
        let code = match role {
            _ if !self.color => return text.to_owned(),
            Role::Plain => return text.to_owned(),
            Role::Good => "32",
            Role::Warn => "33",
            Role::Bad => "1;31",
            Role::Muted => "2",
            Role::Title => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// What is broken.
    pub(crate) fn bad(&self, text: &str) -> String {
        self.paint(Role::Bad, text)
    }
}
