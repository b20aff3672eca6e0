//! Compiles `keiko/v1/*.proto`, and what nodes say to each other, without protoc.

use std::path::PathBuf;
use std::{env, fs};

/// The entry names every room.
const FILES: &[&str] = &["keiko/v1/common.proto", "keiko/v1/entry.proto"];

/// Not part of the API: no client finds it by reflection.
const PEER_FILE: &str = "keiko/peer/v1/peer.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=keiko");
    println!("cargo::rerun-if-changed=google");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    let grpc = env::var_os("CARGO_FEATURE_GRPC").is_some();
    let mut config = prost_build_config();
    config.skip_protoc_run();
    tonic_prost_build::configure()
        .build_client(grpc)
        .build_server(grpc)
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    if grpc { compile_peer() } else { Ok(()) }
}

fn compile_peer() -> Result<(), Box<dyn std::error::Error>> {
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).open_file(PEER_FILE)?;
    // Apart, because what it imports is generated beside it, and that of the API is meant.
    let out = PathBuf::from(env::var("OUT_DIR")?).join("peer");
    fs::create_dir_all(&out)?;
    let mut config = prost_build_config();
    config.skip_protoc_run();
    // Entries travel as they were encoded, and are not copied on the way.
    config.bytes([".keiko.peer.v1"]);
    tonic_prost_build::configure()
        .out_dir(out)
        .extern_path(".keiko.v1", "crate::v1")
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}

fn prost_build_config() -> tonic_prost_build::Config {
    let mut config = tonic_prost_build::Config::new();
    // Maps in order: the same message is the same bytes, on every node.
    config.btree_map(["."]);
    config.disable_comments(["."]);
    config
}
