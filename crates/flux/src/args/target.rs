//! Words for kinds, which are the same under each verb: `flux get sources git`, `flux suspend ks`, …

use clap::{ArgMatches, Command};

use crate::kind::{Group, KINDS, KindRow};

/// Word for every kind of a group, or of all.
const ALL: &str = "all";

/// What a verb is to work on.
#[derive(Clone, Copy)]
pub enum Target {
    /// The objects of one kind.
    Kind(&'static KindRow),
    /// The objects of every kind of a group, or of all kinds.
    All(Option<Group>),
}

/// Adds a subcommand for each kind that a verb applies to; `leaf` adds the arguments after the words.
pub(super) fn with_kinds(
    verb: Command,
    about: &str,
    applies: impl Fn(&KindRow) -> bool,
    leaf: impl Fn(&'static KindRow, Command) -> Command,
) -> Command {
    let kinds = |group: Option<Group>| {
        let rows = KINDS.iter().filter(|row| row.group == group && applies(row));
        rows.map(|row| {
            let command = with_words(row.words).about(format!("{about} {} objects", row.info.kind));
            leaf(row, command)
        })
        .collect::<Vec<_>>()
    };
    let groups = Group::ALL.into_iter().filter_map(|group| {
        let kinds = kinds(Some(group));
        let command = with_words(&group.words())
            .about(format!("{about} {} objects", group.words()[0]))
            .subcommand_required(true)
            .arg_required_else_help(true);
        (!kinds.is_empty()).then(|| command.subcommands(kinds))
    });
    verb.subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(kinds(None))
        .subcommands(groups)
}

/// Adds the word for all kinds to a verb and to its groups of several kinds.
pub(super) fn with_all(verb: Command) -> Command {
    let all = || Command::new(ALL).about("All kinds of objects");
    let verb = [Group::Source, Group::Image]
        .into_iter()
        .fold(verb, |verb, group| {
            verb.mut_subcommand(group.words()[0], |command| command.subcommand(all()))
        });
    verb.subcommand(all())
}

fn with_words(words: &[&'static str]) -> Command {
    let mut words = words.iter();
    let command = Command::new(words.next().copied().unwrap_or_default());
    command.visible_aliases(words.copied())
}

/// Finds out what the words after a verb mean, and where the arguments after them are.
#[must_use]
pub fn read(matches: &ArgMatches) -> Option<(Target, &ArgMatches)> {
    let (word, inner) = matches.subcommand()?;
    if let Some(group) = Group::ALL.into_iter().find(|group| group.words()[0] == word) {
        let (word, leaf) = inner.subcommand()?;
        return Some((find(Some(group), word)?, leaf));
    }
    Some((find(None, word)?, inner))
}

fn find(group: Option<Group>, word: &str) -> Option<Target> {
    if word == ALL {
        return Some(Target::All(group));
    }
    let row = KINDS
        .iter()
        .find(|row| row.group == group && row.words.first() == Some(&word))?;
    Some(Target::Kind(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(args: &[&str]) -> Option<String> {
        let matches = crate::args::command().try_get_matches_from(args).ok()?;
        let (target, _) = read(matches.subcommand()?.1)?;
        Some(match target {
            Target::Kind(row) => row.info.kind.to_owned(),
            Target::All(group) => format!("all {:?}", group.map(Group::words)),
        })
    }

    #[test]
    fn words_mean_kinds() {
        for (args, kind) in [
            (&["flux", "get", "sources", "git"][..], "GitRepository"),
            (&["flux", "get", "source", "git", "name"], "GitRepository"),
            (&["flux", "get", "ks", "-A"], "Kustomization"),
            (&["flux", "get", "kustomizations"], "Kustomization"),
            (&["flux", "get", "all"], "all None"),
            (
                &["flux", "get", "sources", "all"],
                "all Some([\"source\", \"sources\"])",
            ),
            (&["flux", "reconcile", "source", "git", "x"], "GitRepository"),
            (
                &["flux", "reconcile", "kustomization", "x", "--with-source"],
                "Kustomization",
            ),
            (&["flux", "suspend", "alert-provider", "x"], "Provider"),
            (
                &["flux", "resume", "image", "update", "x"],
                "ImageUpdateAutomation",
            ),
        ] {
            assert_eq!(meaning(args).as_deref(), Some(kind), "{args:?}");
        }
    }

    #[test]
    fn verbs_apply_to_some_kinds_only() {
        for args in [
            &["flux", "suspend", "source", "external", "x"][..],
            &["flux", "reconcile", "alert", "x"],
            &["flux", "reconcile", "all"],
            &["flux", "reconcile", "source", "git", "x", "--with-source"],
            &["flux", "get", "pods"],
        ] {
            assert_eq!(meaning(args), None, "{args:?}");
        }
    }
}
