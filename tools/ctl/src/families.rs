// SPDX-License-Identifier: BSD-2-Clause
//! The NICs whose queues the module takes, as its own families list them.

/// Intel's number on the PCI bus.
pub const INTEL: u16 = 0x8086;

/// A family of NICs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The name of its driver.
    pub driver: &'static str,
    /// Smallest buffers that it receives into, in octets.
    pub least_buffer: u32,
    devices: &'static [u16],
}

/// The families.
pub const FAMILIES: [Family; 4] = [
    Family {
        driver: "e1000",
        least_buffer: 256,
        devices: &[
            0x100e, 0x100f, 0x1010, 0x1011, 0x1012, 0x1013, 0x1014, 0x1015, 0x1016, 0x1017, 0x1018,
            0x101d, 0x101e, 0x1026, 0x1027, 0x1028, 0x1076, 0x1077, 0x1078, 0x1079, 0x107a, 0x107b,
            0x107c, 0x108a, 0x1099, 0x10b5,
        ],
    },
    Family {
        driver: "e1000e",
        least_buffer: 256,
        devices: &[0x10d3, 0x10f6, 0x150c],
    },
    Family {
        driver: "igb",
        least_buffer: 1024,
        devices: &[
            0x10c9, 0x10e6, 0x10e7, 0x10e8, 0x1526, 0x150a, 0x1518, 0x150d, 0x150e, 0x150f, 0x1510,
            0x1511, 0x1516, 0x1527, 0x0438, 0x043a, 0x043c, 0x0440, 0x1521, 0x1522, 0x1523, 0x1524,
            0x1533, 0x1536, 0x1537, 0x1538, 0x157b, 0x157c, 0x1539, 0x1f40, 0x1f41, 0x1f45,
        ],
    },
    Family {
        driver: "ixgbe",
        least_buffer: 1024,
        devices: &[
            0x10f7, 0x10f8, 0x10f9, 0x10fb, 0x10fc, 0x1507, 0x1514, 0x1517, 0x151c, 0x1529, 0x152a,
            0x154a, 0x154d, 0x154f, 0x1557, 0x1558, 0x1528, 0x1560, 0x1563, 0x15d1, 0x15aa, 0x15ab,
            0x15ac, 0x15ad, 0x15ae, 0x15b0, 0x15c2, 0x15c3, 0x15c4, 0x15c6, 0x15c7, 0x15c8, 0x15ce,
            0x15e4, 0x15e5,
        ],
    },
];

/// The family of a PCI device with this driver, if the module knows how to take its queues.
pub fn find(vendor: u16, device: u16, driver: &str) -> Option<Family> {
    FAMILIES.into_iter().find(|family| {
        vendor == INTEL && family.driver == driver && family.devices.contains(&device)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the list `DEVICES` in a source file of the module.
    fn devices_in(source: &str) -> Vec<u16> {
        let list = source.split("const DEVICES").nth(1).unwrap();
        let list = list.split("&[").nth(1).unwrap().split(']').next().unwrap();
        list.split(',')
            .filter_map(|number| number.trim().strip_prefix("0x"))
            .map(|digits| u16::from_str_radix(digits, 16).unwrap())
            .collect()
    }

    #[test]
    fn they_are_those_of_the_module() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../rust/nic/family");
        for family in FAMILIES {
            let path = format!("{directory}/{}.rs", family.driver);
            let source = std::fs::read_to_string(&path).unwrap();
            assert_eq!(family.devices, devices_in(&source), "{path}");
        }
    }

    #[test]
    fn the_driver_counts_as_much_as_the_device() {
        assert_eq!(find(INTEL, 0x10c9, "igb").unwrap().driver, "igb");
        assert_eq!(find(INTEL, 0x10c9, "vfio-pci"), None);
        assert_eq!(find(0x1af4, 0x10c9, "igb"), None);
        // An 82598.
        assert_eq!(find(INTEL, 0x10b6, "ixgbe"), None);
    }
}
