//! Pipelines, commands and operands.

use ferro_gocompat::quote::quote_bytes;
use smallvec::SmallVec;

use super::{MAX_PAREN_DEPTH, Parser, span_of};
use crate::ast::{Command, Declared, Expr, Fields, Part, Pipe};
use crate::error::Error;
use crate::lex::{Kind, Token};
use crate::number;
use crate::show::Node;
use crate::stack::guarded;
use crate::value::{Key, Text, lossy};

impl<'p> Parser<'p> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, Error> {
        let token = self.peek_non_space();
        let mut pipe = Pipe {
            pos: token.pos,
            is_assign: false,
            variables: Declared::default(),
            first: Command::default(),
            others: Part::default(),
        };
        self.declarations(&mut pipe, context)?;
        let mut commands: SmallVec<[Command; 4]> = SmallVec::new();
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => {
                    let others = self.check(&commands, context)?;
                    pipe.first = commands.first().copied().unwrap_or_default();
                    let known = &mut self.body.lists.commands;
                    let start = known.len();
                    known.extend_from_slice(others);
                    pipe.others = Part::from(start, known);
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.backup();
                    commands.push(self.command()?);
                }
                _ => return Err(self.unexpected(&token, context)),
            }
        }
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), Error> {
        loop {
            let variable = self.peek_non_space();
            if variable.kind != Kind::Variable {
                return Ok(());
            }
            self.next();
            // A space after the variable has to be there again if this is no declaration.
            let after = self.peek();
            let next = self.peek_non_space();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.is_assign = next.kind == Kind::Assign;
                    self.next_non_space();
                    self.declare(pipe, &variable);
                    return Ok(());
                }
                Kind::Char if self.bytes(&next) == b"," => {
                    self.next_non_space();
                    self.declare(pipe, &variable);
                    if context != "range" || pipe.variables.as_slice().len() >= 2 {
                        return Err(self.error(format_args!("too many declarations in {context}")));
                    }
                    let follows = self.peek_non_space().kind;
                    if !matches!(follows, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return Err(self.error("range can only initialize variables"));
                    }
                }
                _ => {
                    if after.kind == Kind::Space {
                        self.backup_three(variable, after);
                    } else {
                        self.backup_two(variable);
                    }
                    return Ok(());
                }
            }
        }
    }

    fn declare(&mut self, pipe: &mut Pipe, token: &Token) {
        let name = self.bytes(token);
        let variable = self.body.variable(name);
        self.body.visible.push(variable);
        pipe.variables.push(variable);
    }

    /// Checks that there is a command and that all others can take its value; returns those.
    fn check<'c>(&self, commands: &'c [Command], context: &str) -> Result<&'c [Command], Error> {
        let Some((_, others)) = commands.split_first() else {
            return Err(self.error(format_args!("missing value for {context}")));
        };
        for (index, command) in others.iter().enumerate() {
            let is_constant = matches!(
                self.body.lists.operands(command).first(),
                Some(
                    Expr::Bool { .. }
                        | Expr::Dot { .. }
                        | Expr::Nil { .. }
                        | Expr::Number { .. }
                        | Expr::Str { .. }
                )
            );
            if is_constant {
                let stage = index + 2;
                return Err(self.error(format_args!("non executable command in pipeline stage {stage}")));
            }
        }
        Ok(others)
    }

    fn command(&mut self) -> Result<Command, Error> {
        let pos = self.peek_non_space().pos;
        let first = self.args.len();
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                self.args.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.backup(),
                Kind::Pipe => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        if self.args.len() == first {
            return Err(self.error("empty command"));
        }
        let operands = &mut self.body.lists.operands;
        let start = operands.len();
        operands.extend(self.args.drain(first..));
        Ok(Command {
            pos,
            args: Part::from(start, operands),
        })
    }

    /// A term and the fields that follow it.
    fn operand(&mut self) -> Result<Option<Expr>, Error> {
        let Some(term) = self.term()? else { return Ok(None) };
        let first = self.peek();
        if first.kind != Kind::Field {
            return Ok(Some(term));
        }
        let pos = first.pos;
        // Fields of a field are one longer field: its own are the last that were read.
        let start = match &term {
            Expr::Field { fields, .. } => fields.start as usize,
            _ => self.body.lists.fields.len(),
        };
        while self.peek().kind == Kind::Field {
            let token = self.next();
            let name = self.field_name(&token);
            self.body.lists.fields.push(name);
        }
        let fields = Part::from(start, &self.body.lists.fields);
        Ok(Some(match term {
            Expr::Field { .. } => Expr::Field { pos, fields },
            Expr::Variable { variable, .. } => Expr::Variable {
                pos,
                variable,
                fields,
            },
            Expr::Bool { .. }
            | Expr::Str { .. }
            | Expr::Number { .. }
            | Expr::Nil { .. }
            | Expr::Dot { .. } => {
                let shown = Node::Expr(&term).text(self.names());
                let shown = quote_bytes(shown.as_bytes());
                return Err(self.error(format_args!("unexpected . after term {shown}")));
            }
            term => Expr::Chain {
                pos,
                base: Box::new(term),
                fields,
            },
        }))
    }

    fn term(&mut self) -> Result<Option<Expr>, Error> {
        let token = self.next_non_space();
        let pos = token.pos;
        Ok(Some(match token.kind {
            Kind::Identifier => self.function(&token)?,
            Kind::Dot => Expr::Dot { pos },
            Kind::Nil => Expr::Nil { pos },
            Kind::Variable => self.variable(&token)?,
            Kind::Field => {
                let name = self.field_name(&token);
                let names = &mut self.body.lists.fields;
                names.push(name);
                Expr::Field {
                    pos,
                    fields: Part::from(names.len() - 1, names),
                }
            }
            Kind::Bool => Expr::Bool {
                pos,
                value: self.bytes(&token) == b"true",
            },
            Kind::CharConstant | Kind::Complex | Kind::Number => {
                let text = lossy(self.bytes(&token));
                let number = number::parse(&text, token.kind).map_err(|message| self.error(message))?;
                Expr::Number {
                    pos,
                    number: Box::new(number),
                }
            }
            Kind::LeftParen => Expr::Pipe(Box::new(self.parenthesised()?)),
            Kind::String | Kind::RawString => Expr::Str {
                quoted: span_of(&token),
                text: self.unquoted(&token).map_err(|error| self.error(error))?,
            },
            _ => {
                self.backup();
                return Ok(None);
            }
        }))
    }

    fn parenthesised(&mut self) -> Result<Pipe, Error> {
        if self.body.paren_depth >= MAX_PAREN_DEPTH {
            return Err(self.error("max expression depth exceeded"));
        }
        self.body.paren_depth += 1;
        let pipe = guarded(|| self.pipeline("parenthesized pipeline", Kind::RightParen));
        self.body.paren_depth -= 1;
        pipe
    }

    fn function(&mut self, token: &Token) -> Result<Expr, Error> {
        let function = self.str(token).and_then(|name| self.functions.get(name));
        let Some(function) = function else {
            let name = quote_bytes(self.bytes(token));
            return Err(self.error(format_args!("function {name} not defined")));
        };
        // Threads that parse at once would pass the counters of the functions to and fro, were each name to hold its own.
        let known = &mut self.body.lists.functions;
        let index = known.iter().position(|it| it.is_same(function));
        let index = index.unwrap_or_else(|| {
            known.push(function.clone());
            known.len() - 1
        });
        Ok(Expr::Function {
            name: span_of(token),
            function: index as u32,
        })
    }

    fn variable(&mut self, token: &Token) -> Result<Expr, Error> {
        let name = self.bytes(token);
        let variable = self.body.variable(name);
        if !self.body.visible.contains(&variable) {
            let name = quote_bytes(self.bytes(token));
            return Err(self.error(format_args!("undefined variable {name}")));
        }
        Ok(Expr::Variable {
            pos: token.pos,
            variable,
            fields: Fields::default(),
        })
    }

    /// The name behind the dot.
    fn field_name(&self, token: &Token) -> Key {
        Key::Str(match self.str(token).and_then(|text| text.get(1..)) {
            Some(name) => Text::from(name),
            None => Text::from_bytes(self.bytes(token).get(1..).unwrap_or_default()),
        })
    }
}
