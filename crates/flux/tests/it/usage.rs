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
async fn namespaces_are_checked_before_anything_is_done() {
    flux("get ks -n Not_Valid", vec![])
        .await
        .expect_failure("", "✗ namespace must be a valid DNS label: \"Not_Valid\"\n");
}
