// SPDX-License-Identifier: BSD-2-Clause
use super::*;

fn config(options: &str) -> Config {
    Config::parse(&format!("{{{options}}}")).unwrap()
}

#[test]
fn variants() {
    assert_eq!(config("").variant(), "release");
    assert_eq!(
        config(r#""DEBUG_BUILD": true, "KERNEL_MCS": false"#).variant(),
        "debug"
    );
    assert_eq!(config(r#""KERNEL_MCS": true"#).variant(), "mcs-release");
    assert_eq!(
        config(r#""KERNEL_MCS": true, "DEBUG_BUILD": true"#).variant(),
        "mcs-debug"
    );
}

#[test]
fn the_processor_follows_from_the_options() {
    assert_eq!(config("").cpu().unwrap(), "Nehalem");
    assert_eq!(
        config(r#""FSGSBASE_INST": true, "HUGE_PAGE": true, "FXSAVE": true"#)
            .cpu()
            .unwrap(),
        "Nehalem,+fsgsbase,+pdpe1gb"
    );
    assert_eq!(
        config(r#""XSAVE": true, "XSAVE_FEATURE_SET": "7""#)
            .cpu()
            .unwrap(),
        "Nehalem,+xsave,+xsaveopt,+avx"
    );
    assert_eq!(
        config(r#""XSAVE": true, "XSAVE_FEATURE_SET": "3", "FSGSBASE_MSR": true"#)
            .cpu()
            .unwrap(),
        "Nehalem,+xsave,+xsaveopt"
    );
    assert_eq!(
        config(r#""ARCH_X86_HASWELL": true"#).cpu().unwrap(),
        "Haswell"
    );
}

#[test]
fn what_qemu_lacks_is_refused_by_name() {
    for option in [
        "SUPPORT_PCID",
        "XSAVE_XSAVEC",
        "XSAVE_XSAVES",
        "VTX",
        "X2APIC",
    ] {
        let error = config(&format!("\"{option}\": true"))
            .cpu()
            .unwrap_err()
            .to_string();
        assert!(error.contains(option), "{error}");
    }
}

#[test]
fn processors() {
    assert_eq!(config("").processors(), 1);
    assert_eq!(config(r#""MAX_NUM_NODES": "4""#).processors(), 4);
}

#[test]
fn other_platforms_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(Config::PLACE);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, r#"{"ARCH_AARCH64": true, "PLAT_PC99": false}"#).unwrap();
    assert!(
        Config::read(folder.path())
            .unwrap_err()
            .to_string()
            .contains("x86_64")
    );
    fs::write(&file, "not json").unwrap();
    assert!(Config::read(folder.path()).is_err());
}
