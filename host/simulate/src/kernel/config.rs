// SPDX-License-Identifier: BSD-2-Clause
//! The options that a kernel was built with, and the machine that it needs for them.
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// The generated configuration of a kernel.
#[derive(Clone, Debug)]
pub struct Config {
    options: Map<String, Value>,
}

impl Config {
    /// Where an installed kernel has it.
    pub const PLACE: &str = "libsel4/include/kernel/gen_config.json";

    pub(super) fn read(prefix: &Path) -> Result<Self> {
        let file = prefix.join(Self::PLACE);
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let config = Self::parse(&text).with_context(|| file.display().to_string())?;
        if !config.has("ARCH_X86_64") || !config.has("PLAT_PC99") {
            bail!(
                "{}: only kernels for x86_64 on pc99 run here",
                prefix.display()
            );
        }
        Ok(config)
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        Ok(Self {
            options: serde_json::from_str(text)?,
        })
    }

    /// Whether an option is on; one that this kernel doesn't know is off.
    pub fn has(&self, option: &str) -> bool {
        self.options
            .get(option)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    fn number(&self, option: &str) -> Option<u64> {
        self.options.get(option)?.as_str()?.parse().ok()
    }

    /// `release` or `debug`, with `mcs-` before it for a kernel with scheduling contexts.
    pub fn variant(&self) -> &'static str {
        match (self.has("KERNEL_MCS"), self.has("DEBUG_BUILD")) {
            (false, false) => "release",
            (false, true) => "debug",
            (true, false) => "mcs-release",
            (true, true) => "mcs-debug",
        }
    }

    /// Processors that the kernel uses.
    pub fn processors(&self) -> u64 {
        self.number("MAX_NUM_NODES").unwrap_or(1)
    }

    /// Priorities that the kernel has, from 0 on.
    pub fn priorities(&self) -> u64 {
        self.number("NUM_PRIORITIES").unwrap_or(256)
    }

    /// QEMU's `-cpu`: a model as old as the kernel allows, and the features that it was built to use.
    ///
    /// # Errors
    ///
    /// If QEMU without KVM has no processor for this kernel.
    pub fn cpu(&self) -> Result<String> {
        for (option, feature) in [
            ("SUPPORT_PCID", "INVPCID"),
            ("XSAVE_XSAVEC", "XSAVEC"),
            ("XSAVE_XSAVES", "XSAVES"),
            ("VTX", "VT-x"),
            // Its releases from 9 on have.
            ("X2APIC", "x2APIC"),
        ] {
            if self.has(option) {
                bail!(
                    "the kernel was built with {option}, but QEMU's processors have no {feature}: build it without"
                );
            }
        }
        let models = [
            ("ARCH_X86_SKYLAKE", "Skylake-Client"),
            ("ARCH_X86_BROADWELL", "Broadwell"),
            ("ARCH_X86_HASWELL", "Haswell"),
            ("ARCH_X86_IVY", "IvyBridge"),
            ("ARCH_X86_SANDY", "SandyBridge"),
        ];
        let model = models.iter().find(|(option, _)| self.has(option));
        let mut cpu = String::from(model.map_or("Nehalem", |(_, model)| model));
        let wide_registers = self
            .number("XSAVE_FEATURE_SET")
            .is_some_and(|set| set & 4 != 0);
        for (wanted, feature) in [
            (self.has("FSGSBASE_INST"), "fsgsbase"),
            (self.has("HUGE_PAGE"), "pdpe1gb"),
            (self.has("XSAVE"), "xsave"),
            // Found by trying: with xsave alone, QEMU 7.2 leaves out the CPUID leaf that the kernel sizes its area by.
            (self.has("XSAVE"), "xsaveopt"),
            (self.has("XSAVE") && wide_registers, "avx"),
        ] {
            if wanted {
                cpu.push_str(",+");
                cpu.push_str(feature);
            }
        }
        Ok(cpu)
    }
}
