//! Trust, tokens and trouble on the way to a real server.
//! Leaves out what is made of the answers.

use super::testing::Server;
use super::{Client, ServerArgs};
use clap::Parser;
use std::fs;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    server: ServerArgs,
}

/// The answer to a request for all nodes, with these flags.
async fn get(flags: &[&str]) -> Result<String, String> {
    let cli = Cli::try_parse_from(["x"].iter().chain(flags)).map_err(|e| e.to_string())?;
    let client = Client::new(&cli.server).await.map_err(|e| format!("{e:#}"))?;
    client.get("/api/v1/nodes").await.map_err(|e| format!("{e:#}"))
}

#[tokio::test]
async fn certificate_is_trusted_only_when_its_authority_is_or_any() {
    let server = Server::start().await;
    let flags = server.flags();
    let [_, url, _, certificate] = &flags;
    assert!(get(&["--server", url, "--certificate-authority", certificate, "--token", "admin"]).await.unwrap().starts_with("{\"items\":["));
    assert!(get(&["--server", url, "--insecure-skip-tls-verify", "--token", "admin"]).await.is_ok());
    let error = get(&["--server", url, "--token", "admin"]).await.unwrap_err();
    assert!(error.starts_with(&format!("the certificate of {url} is not trusted: ")), "{error}");
    assert!(error.ends_with("trust any with --insecure-skip-tls-verify"), "{error}");
}

#[tokio::test]
async fn token_comes_from_flag_file_or_kubeconfig() {
    let server = Server::start().await;
    let flags = server.flags();
    let (file, kubeconfig) = (server.dir.path().join("token"), server.dir.path().join("kubeconfig"));
    fs::write(&file, "admin\n").unwrap();
    let config = "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n\
        clusters: [{name: k, cluster: {server: 'http://10.0.0.1:8080'}}]\nusers: [{name: u, user: {token: admin}}]\n";
    fs::write(&kubeconfig, config).unwrap();
    let (file, kubeconfig) = (file.display().to_string(), kubeconfig.display().to_string());
    let with = |more: &[&str]| {
        let line: Vec<String> = flags.iter().map(String::as_str).chain(more.iter().copied()).map(str::to_owned).collect();
        async move { get(&line.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    assert!(with(&["--token-file", &file]).await.is_ok());
    assert!(with(&["--kubeconfig", &kubeconfig]).await.is_ok());
    assert!(with(&["--token", "guest", "--kubeconfig", &kubeconfig]).await.unwrap_err().contains("the owner of the token"));
    assert!(with(&["--token", "stolen"]).await.unwrap_err().starts_with("the bearer token is not valid"));
    fs::write(&kubeconfig, config.replace("token: admin", "username: u")).unwrap();
    let error = with(&["--kubeconfig", &kubeconfig]).await.unwrap_err();
    assert!(error.ends_with("no token was sent, because neither --token nor --token-file nor the kubeconfig has one"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_said_with_what_to_do() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = get(&["--server", &format!("https://{free}"), "--token", "admin"]).await.unwrap_err();
    assert!(error.starts_with(&format!("no scheduler answers at https://{free}: ")), "{error}");
    assert!(error.contains("refused") && error.contains("port-forward"), "{error}");
}

#[tokio::test]
async fn unusable_flags_name_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("empty").display().to_string();
    fs::write(&file, "\n").unwrap();
    for (flags, expected) in [
        (vec!["--server", "http://127.0.0.1:1"], "expected an address such as https://127.0.0.1:10259"),
        (vec!["--server", "https://h:1/path"], "expected an address such as"),
        (vec!["--certificate-authority", &file, "--token", "t"], "holds no certificate; expected a PEM file"),
        (vec!["--certificate-authority", "/none", "--token", "t"], "--certificate-authority /none cannot be read"),
        (vec!["--certificate-authority", &file, "--insecure-skip-tls-verify"], "cannot be used with"),
        (vec!["--token-file", &file], "the token is empty"),
        (vec!["--token-file", "/none"], "--token-file /none cannot be read"),
        (vec!["--token", "a\nb"], "the token holds characters that no token has"),
        (vec!["--kubeconfig", "/none"], "kubeconfig /none: cannot be read"),
    ] {
        let error = get(&flags).await.unwrap_err();
        assert!(error.contains(expected), "{flags:?}: {error}");
    }
}
