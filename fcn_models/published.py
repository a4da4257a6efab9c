"""The published weights: where they are and how to know that they arrived whole."""

from __future__ import annotations

from .download import RemoteFile


def _on_google_drive(name: str, file_id: str, md5: str) -> RemoteFile:
    return RemoteFile(
        name=name,
        # confirm=t answers the question whether to fetch a file that is too large for the virus scan.
        url=f"https://drive.usercontent.google.com/download?id={file_id}&export=download&confirm=t",
        algorithm="md5",
        digest=md5,
        page=f"https://drive.google.com/file/d/{file_id}/view",
    )


_VGG16_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
PUBLISHED: dict[str, RemoteFile] = {
    # torchvision's VGG16, to start a training from.
    "vgg16-imagenet": RemoteFile(
        name="vgg16-397923af.pth", url=_VGG16_URL, algorithm="sha256", digest="397923af", page=_VGG16_URL
    ),
    # The nets that the authors of the paper trained on PASCAL VOC, converted to PyTorch by wkentaro/pytorch-fcn.
    "voc-fcn32s": _on_google_drive(
        "fcn32s_from_caffe.pth", "11k2Q0bvRQgQbT6-jYWeh6nmAsWlSCY3f", "d3eb467a80e7da0468a20dfcbc13e6c8"
    ),
    "voc-fcn16s": _on_google_drive(
        "fcn16s_from_caffe.pth", "1bctu58B6YH9bu6lBBSBB2rUeGlGhYLoP", "a2d4035f669f09483b39c9a14a0d6670"
    ),
    "voc-fcn8s": _on_google_drive(
        "fcn8s_from_caffe.pth", "1ieXWyoG68xqoHJPWdyrDyaIaaWlfmUxI", "de93e540ec79512f8770033849c8ae89"
    ),
}
"""Files by the name that `fetch` takes."""
