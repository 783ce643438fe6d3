// SPDX-License-Identifier: BSD-2-Clause

//! What PCI functions reach by way of an IOMMU.

use crate::Word;

/// Which function a capability is for: the data that it is minted with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IOSpaceCapData(Word);

impl IOSpaceCapData {
    /// The function at a place of the PCI bus. `domain_id`: the IOMMU's own name for what the function reaches, not 0,
    /// and of no other function. The kernel has taken one for each function of which firmware wanted memory kept.
    pub fn new(domain_id: u64, pci_bus: u64, pci_dev: u64, pci_fun: u64) -> Self {
        Self(domain_id << 16 | (pci_bus & 0xff) << 8 | (pci_dev & 31) << 3 | pci_fun & 7)
    }

    /// The word that the kernel takes.
    pub fn into_word(self) -> Word {
        self.0
    }
}

impl From<IOSpaceCapData> for Word {
    fn from(data: IOSpaceCapData) -> Self {
        data.into_word()
    }
}
