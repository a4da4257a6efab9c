"""The verdict as JUnit XML, which every CI system shows."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from .verification import Verification


def render_junit(found: Verification) -> str:
    """One test suite, one test case for each hop; the text of a failure says what is wrong and what it looks like."""
    hops = found.parity.hops
    failed = [hop for hop in hops if hop.objections]
    suite = ET.Element(
        "testsuite", name=f"fcnrt verify {found.model.name}", tests=str(len(hops)), failures=str(len(failed))
    )
    for hop in hops:
        case = ET.SubElement(suite, "testcase", classname=f"fcnrt.verify.{found.model.name}", name=hop.name)
        if hop.objections:
            failure = ET.SubElement(case, "failure", message="; ".join(hop.objections))
            failure.text = str(found.diagnosis) if hop is found.parity.broken else "a hop before this one is broken"
        ET.SubElement(case, "system-out").text = (
            f"{hop.frames} frames, {hop.pixels} pixels, {hop.ties} ties, {hop.faults} faults, "
            f"agreement mIoU {hop.agreement.mean_iou():.6f}"
        )
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
