//! Links the example programs at a fixed address.

fn main() {
    // They run for milliseconds: moving the program to a random address first, and with it each address in its data, is a
    // tenth of that.
    println!("cargo:rustc-link-arg-examples=-no-pie");
    println!("cargo:rerun-if-changed=build.rs");
}
