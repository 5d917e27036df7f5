//! What was typed wrongly, or asked for help.

use crate::script::flux;

#[tokio::test(start_paused = true)]
async fn wrong_usage_is_a_failure_without_a_usage_text() {
    for (args, message) in [
        ("nonsense", "unknown command \"nonsense\" for \"flux\""),
        ("get ks --nonsense", "unknown flag: --nonsense"),
        (
            "get ks --timeout 1d",
            "invalid argument \"1d\" for \"--timeout\" flag: time: unknown unit \"d\" in duration \"1d\"",
        ),
    ] {
        flux(args, vec![])
            .await
            .expect_failure("", &format!("✗ {message}\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn help_is_a_result() {
    for args in ["--help", "get --help", "get"] {
        let outcome = flux(args, vec![]).await;
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{args}");
        assert!(outcome.out.contains("Usage: flux"), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn help_says_what_a_command_does_and_shows_examples() {
    for (args, about, example) in [
        (
            "create hr",
            "Create or update a HelmRelease",
            "  flux create hr app --source=",
        ),
        (
            "create source git",
            "Create or update a GitRepository",
            "  flux create source git app --url=",
        ),
        (
            "create secret tls",
            "Create or update a Secret with TLS",
            "  flux create secret tls certs",
        ),
        (
            "build hr",
            "Print the objects of a HelmRelease",
            "  flux build hr app --dry-run",
        ),
        (
            "diff hr",
            "Print what an upgrade of a HelmRelease",
            "  flux diff hr app --chart-path=",
        ),
        (
            "debug hr",
            "Debug a HelmRelease object",
            "  flux debug hr app --show-values",
        ),
    ] {
        let outcome = flux(&format!("{args} --help"), vec![]).await;
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{args}");
        assert!(outcome.out.starts_with(about), "{}", outcome.out);
        let (_, examples) = outcome.out.split_once("\nExamples:\n").unwrap();
        assert!(examples.contains(example), "{examples}");
    }
    // What every command has comes after its own.
    let help = flux("create hr --help", vec![]).await.out;
    let place = |flag: &str| help.find(flag).unwrap();
    assert!(
        place("--chart-ref") < place("--export") && place("--export") < place("--timeout"),
        "{help}"
    );
}

#[tokio::test(start_paused = true)]
async fn completion_scripts_know_commands_and_flags() {
    for shell in ["bash", "fish", "powershell", "zsh"] {
        let outcome = flux(&format!("completion {shell}"), vec![]).await;
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{shell}");
        for word in ["helmrelease", "chart-path", "status-selector"] {
            assert!(outcome.out.contains(word), "{shell} does not know {word}");
        }
    }
    flux("completion nonsense", vec![])
        .await
        .expect_failure("", "✗ unknown command \"nonsense\" for \"flux completion\"\n");
}

#[tokio::test(start_paused = true)]
async fn what_was_meant_is_suggested() {
    flux("get kustomizatons", vec![]).await.expect_failure(
        "",
        "✗ unknown command \"kustomizatons\" for \"flux get\"\n\nDid you mean this?\n\tkustomizations\n\n",
    );
}

#[tokio::test(start_paused = true)]
async fn switches_take_values_as_in_go() {
    let script = || vec![crate::script::Step::list(crate::script::KS, &[])];
    for args in ["get ks --watch=false", "get ks --no-header=T --watch=0"] {
        flux(args, script()).await.expect_failure(
            "",
            "✗ no Kustomization objects found in \"flux-system\" namespace\n",
        );
    }
    flux("get ks --watch=maybe", vec![]).await.expect_failure(
        "",
        "✗ invalid argument \"maybe\" for \"--watch\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax\n",
    );
}

#[tokio::test(start_paused = true)]
async fn namespaces_are_checked_before_anything_is_done() {
    flux("get ks -n Not_Valid", vec![])
        .await
        .expect_failure("", "✗ namespace must be a valid DNS label: \"Not_Valid\"\n");
}
