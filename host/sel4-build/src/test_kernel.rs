// SPDX-License-Identifier: BSD-2-Clause

//! A small kernel for tests: an installed folder with just what the bindings need, in the shape of either generation.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use crate::abi::{NEEDED, NEEDED_ON_MCS, NEEDED_WITH_IOMMU};
use crate::method_table::{Features, needed};

/// What the folder is to look like.
#[derive(Debug, Clone)]
pub struct TestKernel {
    pub mcs: bool,
    pub release_5: bool,
    /// Further methods, so that releases can be told apart.
    pub methods: Vec<&'static str>,
    /// Further constants.
    pub constants: Vec<&'static str>,
    /// The JSON of the configuration.
    pub configuration: String,
    /// A `VERSION` file.
    pub version: Option<&'static str>,
}

impl TestKernel {
    /// A kernel of release 13, not MCS.
    pub fn later() -> Self {
        Self {
            mcs: false,
            release_5: false,
            methods: vec![],
            constants: vec![],
            configuration: configuration(false),
            version: None,
        }
    }

    /// A kernel of release 13, MCS.
    pub fn mcs() -> Self {
        Self {
            mcs: true,
            configuration: configuration(true),
            ..Self::later()
        }
    }

    /// A kernel of release 5.
    pub fn release_5() -> Self {
        Self {
            release_5: true,
            methods: vec!["X86PageRemap"],
            version: Some("5.0.0\n"),
            ..Self::later()
        }
    }

    /// The configuration with `from` replaced by `to`.
    pub fn configured(mut self, from: &str, to: &str) -> Self {
        assert!(self.configuration.contains(from));
        self.configuration = self.configuration.replace(from, to);
        self
    }

    fn features(&self) -> Features {
        Features {
            mcs: self.mcs,
            release_5: self.release_5,
            iommu: self.configuration.contains(r#""IOMMU": true"#),
        }
    }

    /// The interface XML. `form` may change what a method takes.
    pub fn methods_xml(&self, form: impl Fn(&str, &str) -> String) -> String {
        let mut xml = String::from("<api><struct name=\"seL4_UserContext\">");
        let bases: &[&str] = if self.release_5 {
            &["rip", "tls_base"]
        } else {
            &["rip", "fs_base", "gs_base"]
        };
        for register in bases {
            write!(xml, "<member name=\"{register}\"/>").unwrap();
        }
        xml.push_str("</struct><interface name=\"All\">");
        let further = self.methods.iter().map(|id| (*id, ""));
        for (id, taken) in needed(self.features()).chain(further) {
            write!(xml, "<method id=\"{id}\">").unwrap();
            for letter in form(id, taken).chars() {
                let (name, kind) = match letter {
                    'c' => ("authority", "seL4_TCB"),
                    's' => ("regs", "seL4_UserContext"),
                    _ => ("value", "seL4_Word"),
                };
                write!(xml, "<param dir=\"in\" name=\"{name}\" type=\"{kind}\"/>").unwrap();
            }
            xml.push_str("</method>");
        }
        xml.push_str("</interface></api>");
        xml
    }

    /// A header with every constant that is needed, each with its place in the list.
    pub fn header(&self) -> String {
        let on_mcs = NEEDED_ON_MCS.iter().filter(|_| self.mcs);
        let iommu = self.features().iommu;
        let with_iommu = NEEDED_WITH_IOMMU.iter().filter(|_| iommu);
        let names: Vec<&str> = NEEDED
            .iter()
            .chain(on_mcs)
            .chain(with_iommu)
            .chain(&self.constants)
            .copied()
            .collect();
        format!("enum all {{ {} }};", names.join(", "))
    }

    /// Installs it in a folder of its own, which is removed when the result is dropped.
    pub fn install(&self, name: &str) -> Installed {
        let installed = Installed {
            folder: env::temp_dir().join(format!("sel4-build-{}-{name}", process::id())),
        };
        let unchanged = |_: &str, form: &str| form.to_owned();
        installed.write("interfaces/object-api.xml", &self.methods_xml(unchanged));
        for empty in ["object-api-sel4-arch", "object-api-arch"] {
            installed.write(&format!("interfaces/{empty}.xml"), "<api/>");
        }
        installed.write(
            "api/syscall.xml",
            r#"<s><api-master><config><syscall name="Call"/></config></api-master>
               <api-mcs><config><syscall name="Call"/></config></api-mcs><debug/></s>"#,
        );
        installed.write("kernel/gen_config.json", &self.configuration);
        installed.write("sel4/gen_config.json", "{}");
        installed.write("sel4/constants.h", &self.header());
        if let Some(version) = self.version {
            fs::write(installed.folder.join("VERSION"), version).unwrap();
        }
        installed
    }
}

fn configuration(mcs: bool) -> String {
    format!(
        r#"{{ "ARCH_X86_64": true, "SEL4_ARCH": "x86_64", "PLAT_PC99": true, "PLAT": "pc99", "VTX": false,
             "SYSCALL": true, "FSGSBASE_INST": true, "KERNEL_MCS": {mcs}, "HUGE_PAGE": true,
             "IOMMU": false, "MAX_NUM_NODES": "1" }}"#
    )
}

/// An installed folder.
#[derive(Debug)]
pub struct Installed {
    folder: PathBuf,
}

impl Installed {
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file among the headers.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Removes a file from among the headers.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join("libsel4/include").join(name)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        // What is left behind in the system's temporary folder is no reason to fail a test.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
