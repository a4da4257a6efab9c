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


def _on_pytorch_org(name: str, sha256: str, size_bytes: int) -> RemoteFile:
    url = f"https://download.pytorch.org/models/{name}"
    return RemoteFile(name=name, url=url, algorithm="sha256", digest=sha256, page=url, size_bytes=size_bytes)


_AT_ONCE = _on_google_drive(
    "fcn8s-atonce_from_caffe.npz", "1lNHAz5QEo-OoHL8uAUuBPki-8xrEArhs", "5f3ffdc7fae1066606e1ef45cfda548f"
)

PUBLISHED: dict[str, RemoteFile] = {
    # torchvision's VGG16, to start a training from.
    "vgg16-imagenet": _on_pytorch_org(
        "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        553_433_881,
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
    # The same net trained in one go; from the port to Chainer, the one to PyTorch is not found any more.
    "voc-fcn8s_atonce": _AT_ONCE,
    # The same weights where they come from. For its other nets the authors' site names no hash, so they are not here.
    "voc-caffe-fcn8s": RemoteFile(
        name="fcn8s-heavy-pascal.caffemodel",
        url="http://dl.caffe.berkeleyvision.org/fcn8s-heavy-pascal.caffemodel",
        algorithm="sha1",  # as OpenCV's tests have it
        digest="c449ea74dd7d83751d1357d6a8c323fcf4038962",
        page="http://dl.caffe.berkeleyvision.org/fcn8s-heavy-pascal.caffemodel",
    ),
    # And as wkentaro/fcn converted them to Chainer.
    "voc-chainer-fcn32s": _on_google_drive(
        "fcn32s_from_caffe.npz", "1l5Ubj7zflQAwaNI7G35DzNcMoTf8CDLW", "b7f0a2e66229ccdb099c0a60b432e8cf"
    ),
    "voc-chainer-fcn16s": _on_google_drive(
        "fcn16s_from_caffe.npz", "1kwLpLz1jzQqqF5QxQphsO4-aObQIQMWS", "7c9b50a1a8c6c20d3855d4823bbea61e"
    ),
    "voc-chainer-fcn8s": _on_google_drive(
        "fcn8s_from_caffe.npz", "1l_5RK28JRL19wpT22B-DY9We3TVXnnQQ", "256c2a8235c1c65e62e48d3284fbd384"
    ),
    "voc-chainer-fcn8s_atonce": _AT_ONCE,
    # torchvision's own, trained on the part of COCO that has the classes of VOC.
    "coco-fcn_resnet50": _on_pytorch_org(
        "fcn_resnet50_coco-1167a1af.pth",
        "1167a1affa42e1e62858f8d3fac12d109e0108327ffc91c5855a324b11683c36",
        141_567_418,
    ),
    "coco-fcn_resnet101": _on_pytorch_org(
        "fcn_resnet101_coco-7ecb50ca.pth",
        "7ecb50ca17844860a70d5ed0c748d997cf8adb62932abaa0233430c68594d749",
        217_800_805,
    ),
}
"""Files by the name that `fetch` takes."""
