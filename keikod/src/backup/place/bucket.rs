//! A bucket that speaks S3. Who may use it and where it is say the variables that every tool for S3
//! reads: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`,
//! `AWS_ALLOW_HTTP`; where they are missing, the role of the machine.

use super::{Found, unusable};
use futures::TryStreamExt as _;
use keiko_core::refusal::{Code, Refusal, Result};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    Error, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, RetryConfig,
};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Faults that pass are waited out, within the time that somebody waits for a backup. One request may
/// take 30 s, unless `AWS_TIMEOUT` says otherwise.
const RETRIES_MAX: usize = 6;
const RETRY_DEADLINE: Duration = Duration::from_secs(120);
/// What is listed at most: a million pieces are 250 GB.
const LISTED_MAX: usize = 1 << 20;

/// The bucket, and the path of the place in it.
pub struct Bucket {
    name: String,
    store: AmazonS3,
    prefix: String,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
}

/// Without what lets one in.
impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The last one may go where nobody may wait.
impl Drop for Bucket {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Bucket {
    /// `rest` is what follows `s3://`.
    pub(super) fn open(name: &str, rest: &str) -> Result<Self> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/');
        if bucket.is_empty() || Path::parse(prefix).is_err() {
            return Err(Refusal::new(Code::InvalidArgument, format!("{name:?} is no bucket"))
                .hint("s3://BUCKET/PREFIX"));
        }
        let retry = RetryConfig {
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_DEADLINE,
            ..RetryConfig::default()
        };
        let store = AmazonS3Builder::from_env()
            .with_retry(retry)
            .with_bucket_name(bucket)
            // Not everything that speaks S3 takes many at once.
            .with_disable_bulk_delete(true)
            .build()
            .map_err(|error| unusable(&format!("{name} can't be used"), error).hint(WHERE))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(
            |error| Refusal::new(Code::Internal, "can't start the runtime").cause(error),
        )?;
        let (name, prefix) = (name.to_owned(), prefix.to_owned());
        Ok(Self { name, store, prefix, runtime: Some(runtime) })
    }

    pub(super) fn list(&self, below: &str) -> Result<Vec<Found>> {
        let path = self.at(below);
        let listed = self.wait(async {
            let mut stream = self.store.list(Some(&path));
            let mut found = Vec::new();
            while let Some(object) = stream.try_next().await? {
                found.push(object);
                if found.len() > LISTED_MAX {
                    break;
                }
            }
            Ok::<_, Error>(found)
        })?;
        let listed = listed.map_err(|error| self.failed("list", below, &error))?;
        if listed.len() > LISTED_MAX {
            let message = format!("{} holds more than {LISTED_MAX} objects", self.name);
            return Err(Refusal::new(Code::LimitExceeded, message).hint("take another prefix"));
        }
        let own = |object: object_store::ObjectMeta| {
            let path = object.location.as_ref();
            let path = path.strip_prefix(self.prefix.as_str())?.trim_start_matches('/').to_owned();
            Some(Found { path, length: object.size })
        };
        Ok(listed.into_iter().filter_map(own).collect())
    }

    pub(super) fn get(&self, path: &str, most: usize) -> Result<Option<Vec<u8>>> {
        let at = self.at(path);
        let got = self.wait(async {
            let found = self.store.get(&at).await?;
            if found.meta.size > most as u64 {
                return Ok(None);
            }
            found.bytes().await.map(Some)
        })?;
        match got {
            Ok(Some(bytes)) => Ok(Some(bytes.to_vec())),
            Ok(None) => Err(unusable(
                &format!("{path} of {} is too large", self.name),
                "it is none of ours",
            )),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", path, &error)),
        }
    }

    /// With `fresh` only if nothing is there; says whether it did.
    pub(super) fn put(&self, path: &str, bytes: Vec<u8>, fresh: bool) -> Result<bool> {
        let at = self.at(path);
        let mode = if fresh { PutMode::Create } else { PutMode::Overwrite };
        let (payload, options) = (PutPayload::from(bytes), PutOptions::from(mode));
        let put = self.wait(async { self.store.put_opts(&at, payload, options).await })?;
        match put {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) if fresh => Ok(false),
            Err(error) => Err(self.failed("write", path, &error)),
        }
    }

    pub(super) fn remove(&self, path: &str) -> Result<()> {
        let at = self.at(path);
        match self.wait(async { self.store.delete(&at).await })? {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("remove", path, &error)),
        }
    }

    fn at(&self, path: &str) -> Path {
        Path::from(format!("{}/{path}", self.prefix))
    }

    /// On a runtime of its own: whoever calls blocks anyway, and may have none.
    fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let runtime = self.runtime.as_ref();
        let runtime =
            runtime.ok_or_else(|| Refusal::new(Code::Internal, "the bucket is closed"))?;
        Ok(runtime.block_on(work))
    }

    fn failed(&self, verb: &str, path: &str, error: &Error) -> Refusal {
        unusable(&format!("can't {verb} {path:?} of {}", self.name), error).hint(WHERE)
    }
}

const WHERE: &str =
    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL say who and where";
