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
