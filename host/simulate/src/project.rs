// SPDX-License-Identifier: BSD-2-Clause
//! Where things are.
use std::path::{Path, PathBuf};

/// The folders of this checkout.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
}

impl Project {
    /// The checkout that this tool was built in.
    pub fn here() -> Self {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR"));
        // host/simulate lies two folders below the top.
        let root = tool.ancestors().nth(2).unwrap_or(tool);
        Self {
            root: root.to_path_buf(),
        }
    }

    /// The top of the checkout: the workspace of what runs on seL4.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The workspace of the tools.
    pub fn host(&self) -> PathBuf {
        self.root.join("host")
    }

    /// Where everything goes that can be made again.
    pub fn build(&self) -> PathBuf {
        self.root.join("build")
    }

    /// `path` as one would type it where the tool was started.
    pub fn shown(&self, path: &Path) -> PathBuf {
        let here = std::env::current_dir();
        let relative = here.ok().and_then(|here| path.strip_prefix(here).ok());
        // The folder itself has no name in itself.
        relative
            .filter(|path| path.parent().is_some())
            .unwrap_or(path)
            .to_path_buf()
    }
}
