//! `source.toolkit.fluxcd.io`: where the desired state comes from.

mod gitrepository;

pub use self::gitrepository::{
    GitProvider, GitRepository, GitRepositoryInclude, GitRepositoryRef, GitRepositorySpec,
    GitRepositoryStatus, GitRepositoryVerification, GitVerificationMode,
};
