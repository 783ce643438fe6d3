# SPDX-License-Identifier: BSD-2-Clause
#
# The configuration of a variant, in the two forms that a modern seL4 installs: gen_config.json for tools, gen_config.h
# for C. variants/release.json names every option; another variant's file is laid over it and holds what differs.
# An option is a JSON boolean, or a string that C sees unquoted.
#
# Names and values are those of today's releases, also where 5.0.0 has no such option and its value is what 5.0.0 does
# (KERNEL_MCS is false), so that one reader of the file does for both.

set(CONFIG_DIR "${CMAKE_CURRENT_BINARY_DIR}/config")

# config_read(VARIABLE FILE): the JSON text of FILE; a change of the file runs CMake again.
function(config_read variable file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  file(READ "${file}" text)
  set(${variable} "${text}" PARENT_SCOPE)
endfunction()

# config_overlay(VARIABLE FILE): the options of FILE over those in VARIABLE. An unknown name is a slip of the pen.
function(config_overlay variable file)
  config_read(overlay "${file}")
  set(merged "${${variable}}")
  string(JSON count LENGTH "${overlay}")
  foreach(index RANGE 1 ${count})
    math(EXPR index "${index} - 1")
    string(JSON name MEMBER "${overlay}" ${index})
    string(JSON value GET "${overlay}" ${name})
    string(JSON type TYPE "${overlay}" ${name})
    string(JSON known ERROR_VARIABLE unknown TYPE "${merged}" ${name})
    if(unknown OR NOT type STREQUAL known)
      message(FATAL_ERROR "${file}: release.json has no option ${name} of type ${type}")
    endif()
    if(type STREQUAL "BOOLEAN")
      string(TOLOWER "${value}" value)
      string(REGEX REPLACE "^on$" "true" value "${value}")
      string(REGEX REPLACE "^off$" "false" value "${value}")
    else()
      set(value "\"${value}\"")
    endif()
    string(JSON merged SET "${merged}" ${name} "${value}")
  endforeach()
  set(${variable} "${merged}" PARENT_SCOPE)
endfunction()

# config_write(JSON FOLDER): gen_config.json and gen_config.h in FOLDER, left alone where nothing changed.
function(config_write json folder)
  set(header "#pragma once\n\n")
  string(JSON count LENGTH "${json}")
  foreach(index RANGE 1 ${count})
    math(EXPR index "${index} - 1")
    string(JSON name MEMBER "${json}" ${index})
    string(JSON value GET "${json}" ${name})
    string(JSON type TYPE "${json}" ${name})
    if(NOT type STREQUAL "BOOLEAN")
      string(APPEND header "#define CONFIG_${name}  ${value}\n")
    elseif(value)
      string(APPEND header "#define CONFIG_${name}  1\n")
    else()
      string(APPEND header "/* disabled: CONFIG_${name} */\n")
    endif()
  endforeach()
  file(CONFIGURE OUTPUT "${folder}/gen_config.json" CONTENT "${json}" @ONLY)
  file(CONFIGURE OUTPUT "${folder}/gen_config.h" CONTENT "${header}" @ONLY)
endfunction()

file(GLOB variants RELATIVE "${CMAKE_CURRENT_LIST_DIR}/variants" "${CMAKE_CURRENT_LIST_DIR}/variants/*.json")
if(NOT "${VARIANT}.json" IN_LIST variants)
  message(FATAL_ERROR "VARIANT=${VARIANT}: the files of variants/ are ${variants}")
endif()

config_read(KERNEL_CONFIG "${CMAKE_CURRENT_LIST_DIR}/variants/release.json")
if(NOT VARIANT STREQUAL "release")
  config_overlay(KERNEL_CONFIG "${CMAKE_CURRENT_LIST_DIR}/variants/${VARIANT}.json")
endif()
config_read(LIBSEL4_CONFIG "${CMAKE_CURRENT_LIST_DIR}/libsel4.json")

config_write("${KERNEL_CONFIG}" "${CONFIG_DIR}/kernel")
config_write("${LIBSEL4_CONFIG}" "${CONFIG_DIR}/sel4")
file(CONFIGURE OUTPUT "${CONFIG_DIR}/autoconf.h" @ONLY
     CONTENT "#pragma once\n\n#include <kernel/gen_config.h>\n#include <sel4/gen_config.h>\n")

# What the build itself has to know of the configuration.
string(JSON KERNEL_DEBUG GET "${KERNEL_CONFIG}" DEBUG_BUILD)
string(JSON KERNEL_OPTIMISATION GET "${KERNEL_CONFIG}" KERNEL_OPT_LEVEL)
string(JSON KERNEL_NODES GET "${KERNEL_CONFIG}" MAX_NUM_NODES)
