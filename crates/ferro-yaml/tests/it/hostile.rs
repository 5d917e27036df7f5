//! Texts made to hurt: none may panic, overflow the stack, or take more time than its length explains.

use ferro_yaml::{EmitOptions, ParseOptions, check, documents_to_string, parse_documents, parse_first, sigs};
use proptest::prelude::*;

use crate::random::runner;

const SIZE: usize = 20_000;

/// Reads and writes in all ways; errors are fine.
fn use_up(text: &[u8]) {
    let options = ParseOptions {
        comments: true,
        ..ParseOptions::default()
    };
    drop(check(text, &options));
    drop(sigs::from_slice(text));
    drop(sigs::from_slice_strict(text));
    if let Ok(documents) = parse_documents(text, &options) {
        drop(documents_to_string(&documents, &EmitOptions::kyaml()));
    }
    if let Ok(Some(mut document)) = parse_first(text, &options)
        && document.expand(&options.limits).is_ok()
    {
        drop(document.root.to_json());
    }
}

fn repeated(piece: &str) -> String {
    piece.repeat(SIZE / piece.len())
}

#[test]
fn repeated_pieces_take_linear_time() {
    for piece in [
        "[",
        "{",
        "- ",
        "? ",
        ": ",
        "[a: ",
        "{a: ",
        "[]: ",
        "[a, ",
        "a",
        "a ",
        "a\n",
        "- a\n",
        "a: ",
        "&a ",
        "*a ",
        "! ",
        "'",
        "\"",
        "''",
        "\\",
        "#",
        "# c\n",
        " # c\n  # d\n",
        "\n",
        " \n",
        "\t",
        " ",
        "|\n",
        ">\n x\n",
        "---\n",
        "...\n",
        "%TAG !a! b\n",
        "\u{feff}",
        "\u{feff}\n",
        "é",
        "\u{85}",
        "\r",
        "<<: {}\n",
        "? a\n",
        "~: a\n",
        "[a]: b\n",
        "'a': 'b'\n",
        "!a%41 ",
        "%41",
    ] {
        let text = repeated(piece);
        use_up(text.as_bytes());
        use_up(format!("a:\n  {text}").as_bytes());
        use_up(format!("[{text}").as_bytes());
        use_up(format!("a: |\n  {text}").as_bytes());
        use_up(format!("\"{text}\"").as_bytes());
        use_up(format!("\u{feff}\u{feff}a: {text}").as_bytes());
    }
}

#[test]
fn wide_and_deep_texts_take_linear_time() {
    let indented = |depth: usize| -> String {
        (0..depth)
            .map(|level| format!("{}- \n", " ".repeat(level)))
            .collect()
    };
    let keys: String = (0..20_000).map(|index| format!("k{index}: v\n")).collect();
    let same: String = "k: v\n".repeat(20_000);
    let merges: String = (0..5_000)
        .map(|index| {
            format!(
                "a{index}: &a{index} {{<<: *a{}, k{index}: v}}\n",
                index.max(1) - 1
            )
        })
        .collect();
    let chain: String = (0..5_000)
        .map(|index| format!("- &a{index} [*a{}]\n", index.max(1) - 1))
        .collect();
    let bomb: String = (0..60)
        .map(|index| format!("- &a{index} [*a{0}, *a{0}]\n", index.max(1) - 1))
        .collect();
    for text in [
        indented(600),
        format!("{}{}", indented(300), "# a\n  # b\n".repeat(10_000)),
        keys,
        same,
        format!("a0: &a0 {{}}\n{merges}"),
        format!("- &a0 x\n{chain}"),
        format!("- &a0 x\n{bomb}"),
        format!(
            "a: &a {{{}}}\nb: [{}]\n",
            "k: v, ".repeat(1000),
            "*a, ".repeat(50_000)
        ),
        format!("{}a", "[".repeat(390)) + &"]".repeat(390),
    ] {
        use_up(text.as_bytes());
    }
}

#[test]
fn any_bytes_are_survived() {
    runner()
        .run(&prop::collection::vec(any::<u8>(), 0..2000), |bytes| {
            use_up(&bytes);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
