//! Scalars in the style that their text allows, and what stands before nodes.

use super::{Machine, Properties, Scalar};
use crate::emit::analysis::Analysis;
use crate::{Error, Result, ScalarStyle};

impl Machine<'_> {
    pub(super) fn emit_scalar(&mut self, scalar: &Scalar<'_>, analysis: Analysis) -> Result<()> {
        let style = self.select_style(scalar, analysis);
        self.write_properties(&scalar.properties)?;
        self.increase_indent(true, false);
        let may_fold = !self.context.simple_key;
        match style {
            ScalarStyle::Plain => self.write_plain(scalar.text, may_fold),
            ScalarStyle::SingleQuoted => self.write_single_quoted(scalar.text, may_fold),
            ScalarStyle::DoubleQuoted => self.write_double_quoted(scalar.text, may_fold),
            ScalarStyle::Literal => self.write_literal(scalar.text),
            ScalarStyle::Folded => self.write_folded(scalar.text),
        }
        self.pop_indent();
        self.pop_state();
        Ok(())
    }

    pub(super) fn select_style(&self, scalar: &Scalar<'_>, analysis: Analysis) -> ScalarStyle {
        let in_flow = self.flow_level > 0;
        let mut style = scalar.style;
        if self.context.simple_key && analysis.multiline {
            style = ScalarStyle::DoubleQuoted;
        }
        if style == ScalarStyle::Plain {
            let allowed = if in_flow {
                analysis.flow_plain
            } else {
                analysis.block_plain
            };
            let hidden = scalar.text.is_empty() && (in_flow || self.context.simple_key);
            if !allowed || hidden {
                style = ScalarStyle::SingleQuoted;
            }
        }
        if style == ScalarStyle::SingleQuoted && !analysis.single_quoted {
            style = ScalarStyle::DoubleQuoted;
        }
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        if is_block && (!analysis.block || in_flow || self.context.simple_key) {
            style = ScalarStyle::DoubleQuoted;
        }
        style
    }

    pub(super) fn write_properties(&mut self, properties: &Properties<'_>) -> Result<()> {
        if !properties.anchor.is_empty() {
            check_anchor(properties.anchor, false)?;
            self.write_indicator("&", true, false, false);
            self.write_name(properties.anchor);
        }
        if !properties.tag.is_empty() {
            self.write_tag(properties.tag);
        }
        Ok(())
    }
}

pub(super) fn property_size(properties: &Properties<'_>) -> usize {
    properties.anchor.len() + properties.tag.len()
}

pub(super) fn check_anchor(name: &str, alias: bool) -> Result<()> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(is_valid) {
        return Ok(());
    }
    let what = if alias { "alias" } else { "anchor" };
    let why = if name.is_empty() {
        "not be empty"
    } else {
        "contain alphanumerical characters only"
    };
    Err(Error::Syntax {
        line: 0,
        problem: format!("{what} value must {why}"),
    })
}
