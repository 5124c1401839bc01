"""The fitter: order, held-out images, labels on the grid."""

import numpy as np
import pytest
import torch

from mmseg_ddu.engine.fitter import DensityFitter
from mmseg_ddu.engine.labels import labels_on_grid, labels_on_input
from mmseg_ddu.models import GDAHead


def test_padding_is_void():
    labels = torch.arange(12).reshape(3, 4)
    meta = dict(padding_size=[0, 2, 0, 1])
    padded = labels_on_input(labels, meta, (4, 6))
    assert torch.equal(padded[:3, :4], labels)
    assert (padded[3] == 255).all() and (padded[:, 4:] == 255).all()


def test_labels_go_to_the_grid_by_nearest_neighbour():
    labels = torch.zeros(8, 8)
    labels[:4, 4:] = 255
    labels[4:, :4] = 3
    assert labels_on_grid(labels, (2, 2)).tolist() == [[0, 255], [3, 0]]


class TestFitter:
    def features(self, index, size=6):
        rng = torch.Generator().manual_seed(index)
        z = torch.randn(1, 4, size, size, generator=rng) + 2
        labels = torch.randint(0, 3, (size, size), generator=rng)
        labels[0, 0] = 255
        predicted = torch.where(z[:, :1] > 2, 0, 1)
        return dict(penultimate=z, predicted=predicted), labels

    def fit(self, order, held_out=(), **options):
        head = GDAHead(3, views='ddu-paper', channels=4)
        fitter = DensityFitter(head, held_out=held_out, **options)
        for index in order:
            features, labels = self.features(index)
            fitter.update(features, labels, index)
        return head, fitter.finalize()

    def test_order_of_images_does_not_matter(self):
        options = dict(pixels_per_class=4, calibration_pixels=64)
        first, _ = self.fit(range(8), held_out=(2, 5), **options)
        second, _ = self.fit(reversed(range(8)), held_out=(2, 5), **options)
        for name, value in first.state_dict().items():
            torch.testing.assert_close(value, second.state_dict()[name])

    def test_held_out_images_calibrate_and_then_join(self):
        """Quantiles of densities that never saw the images; then all."""
        head, report = self.fit(range(8), held_out=(2, 5))
        others, _ = self.fit([0, 1, 3, 4, 6, 7])
        everything, _ = self.fit(range(8))
        name = 'views.0.density.means'
        torch.testing.assert_close(
            head.state_dict()[name], everything.state_dict()[name]
        )
        scores = []
        for index in (2, 5):
            features, labels = self.features(index)
            scores.append(others(features)[0, 0][labels != 255])
        expected = np.quantile(torch.cat(scores), np.linspace(0, 1, 1001))
        np.testing.assert_allclose(
            head.score_quantiles, expected, rtol=1e-3, atol=1e-4
        )
        assert (
            report['calibration'] | dict(pixels=70, held_out=True)
            == (report['calibration'])
        )

    def test_report_says_if_the_density_is_inverted(self):
        """Against scikit-learn, on the pixels that calibrate."""
        from sklearn.metrics import roc_auc_score

        others, _ = self.fit([0, 1, 3, 4, 6, 7])
        _, report = self.fit(range(8), held_out=(2, 5))
        scores, wrong = [], []
        for index in (2, 5):
            features, labels = self.features(index)
            known = labels != 255
            scores.append(others(features)[0, 0][known])
            wrong.append((features['predicted'][0, 0] != labels)[known])
        expected = roc_auc_score(torch.cat(wrong), torch.cat(scores))
        got = report['calibration']['mis_AUROC']
        assert got == pytest.approx(100 * expected, abs=0.5)

    def test_each_tap_is_fitted_on_its_own_grid(self):
        """A coarse tap sees each of its pixels once, with its label."""
        views = [dict(tap='penultimate'), dict(tap='layer', channels=2)]
        head = GDAHead(3, channels=4, views=views)
        fitter = DensityFitter(head, pixels_per_class=None)
        coarse = []
        for index in range(8):
            features, labels = self.features(index)
            rng = torch.Generator().manual_seed(100 + index)
            features['layer'] = torch.randn(1, 2, 3, 2, generator=rng)
            fitter.update(features, labels, index)
            # Even ratios: the cell right below the centre.
            coarse.append((features['layer'], labels[1::2, 1::3]))
        report = fitter.finalize()
        x = torch.cat([z[0].flatten(1).T for z, _ in coarse])
        y = torch.cat([part.flatten() for _, part in coarse])
        density = head.views[1].density
        for label in range(3):
            expected = x[y == label].double().mean(0)
            np.testing.assert_allclose(
                density.means[label] + density.offset, expected, atol=1e-5
            )
        assert report['vectors_per_class'] == report['pixels_per_class']

    def test_only_void_is_an_error(self):
        head = GDAHead(3, views='ddu-paper', channels=4)
        fitter = DensityFitter(head)
        features, labels = self.features(0)
        fitter.update(features, torch.full_like(labels, 255), 0)
        with pytest.raises(ValueError, match='No labelled feature'):
            fitter.finalize()
        assert not head.fitted
