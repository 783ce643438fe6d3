# SPDX-License-Identifier: BSD-2-Clause
#
# The installed folder: names and places are those of upstream's releases 13 to 16, whatever 5.0.0 calls the file.
# Upstream installs no version, so VERSION is the one addition: a folder without it is a 13 or later.

set(include libsel4/include)

install(TARGETS kernel.elf RUNTIME DESTINATION bin)
install(
  DIRECTORY "${LIBSEL4}/include/" "${LIBSEL4}/arch_include/x86/" "${LIBSEL4}/sel4_arch_include/x86_64/"
            "${LIBSEL4}/sel4_plat_include/pc99/" "${LIBSEL4_GENERATED}/" "${CONFIG_DIR}/"
  DESTINATION ${include}
  FILES_MATCHING
  PATTERN "*.h"
  PATTERN "*.pbf"
  PATTERN "api/syscall.xml"
  PATTERN "api/syscall.xsd"
  PATTERN "gen_config.json")
install(FILES "${INTERFACES_COMMON}" DESTINATION ${include}/interfaces RENAME object-api.xml)
install(FILES "${INTERFACES_ARCH}" DESTINATION ${include}/interfaces RENAME object-api-arch.xml)
install(FILES "${INTERFACES_SEL4_ARCH}" DESTINATION ${include}/interfaces RENAME object-api-sel4-arch.xml)
install(DIRECTORY "${LIBSEL4}/src/" DESTINATION libsel4/src)
install(FILES "${KERNEL_SOURCE}/VERSION" "${KERNEL_SOURCE}/LICENSE_GPLv2.txt" "${KERNEL_SOURCE}/LICENSE_BSD2.txt"
        DESTINATION .)
