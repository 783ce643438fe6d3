// SPDX-License-Identifier: BSD-2-Clause
//! Names of PCI functions, and which devices QEMU is to have.

/// Kinds of functions that have a name: what vendor and device they say.
const NAMES: [(&str, &[(u16, u16)]); 2] = [
    ("edu", &[(0x1234, 0x11e8)]),
    // Transitional and modern.
    ("virtio-blk", &[(0x1af4, 0x1001), (0x1af4, 0x1042)]),
];

/// Devices that QEMU can be asked for by a manifest, and how.
const QEMU: [(&str, &str); 1] = [("edu", "edu")];

/// Vendors and devices that a name stands for: one of [`NAMES`], or `pci:VENDOR:DEVICE` in hexadecimal.
pub fn functions(name: &str) -> Option<Vec<(u16, u16)>> {
    if let Some((_, functions)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(functions.to_vec());
    }
    let (vendor, device) = name.strip_prefix("pci:")?.split_once(':')?;
    let number = |text: &str| {
        let is_plain = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(text, 16).ok().filter(|_| is_plain)
    };
    Some(vec![(number(vendor)?, number(device)?)])
}

/// QEMU's option for a device of the machine.
pub fn qemu_device(name: &str) -> Option<&'static str> {
    let (_, option) = QEMU.iter().find(|(known, _)| *known == name)?;
    Some(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_names_or_numbers() {
        assert_eq!(functions("edu"), Some(vec![(0x1234, 0x11e8)]));
        assert_eq!(functions("pci:1af4:10Ab"), Some(vec![(0x1af4, 0x10ab)]));
        for wrong in [
            "",
            "sdu",
            "pci:",
            "pci:1af4",
            "pci:1af4:1",
            "pci:1af4:+001",
            "pci:1af4:10000",
        ] {
            assert_eq!(functions(wrong), None, "{wrong}");
        }
    }
}
