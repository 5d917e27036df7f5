//! Passes over a HelmRepository.
